// Where a line end ends a statement: unless the next line begins with something that cannot begin one. Lines that end in an operator
// and lines inside ( ) and [ ] never come here, since no separator is expected there.

#include "tree_sitter/parser.h"
#include <string.h>

enum Token { NEWLINE };

void *tree_sitter_optc_external_scanner_create(void) { return NULL; }
void tree_sitter_optc_external_scanner_destroy(void *payload) {}
unsigned tree_sitter_optc_external_scanner_serialize(void *payload, char *buffer) { return 0; }
void tree_sitter_optc_external_scanner_deserialize(void *payload, const char *buffer, unsigned length) {}

static bool is_blank(int32_t c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == 0xFEFF; }

static bool is_letter(int32_t c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c > 0x7F;
}

// Whether the statement goes on with what stands at the lexer, the first thing on its line.
static bool continues(TSLexer *lexer) {
  int32_t c = lexer->lookahead;
  if (c == 0x2190 || c == 0x2192) return true; // ← →
  if (is_letter(c)) {
    char word[16] = {0};
    unsigned length = 0;
    while (is_letter(lexer->lookahead) && length < sizeof(word) - 1) {
      word[length++] = lexer->lookahead > 0x7F ? '?' : (char)lexer->lookahead;
      lexer->advance(lexer, true);
    }
    if (is_letter(lexer->lookahead)) return false;
    static const char *const WORDS[] = {"then", "else", "and", "or", "with", "over", "within"};
    for (unsigned i = 0; i < sizeof(WORDS) / sizeof(*WORDS); i++) {
      if (strcmp(word, WORDS[i]) == 0) return true;
    }
    // `where` of a filter; `where(c, a, b)` is a function.
    return strcmp(word, "where") == 0 && lexer->lookahead != '(';
  }
  switch (c) {
    case '{': case '|': case '+': case '*': case '/': case '%': case '@': case '^': case '=': case '!': case '<':
    case '>': case '~': case ',': case ':': case '.':
      return true;
    case '-': // `->` of a result; a minus begins a statement
      lexer->advance(lexer, true);
      return lexer->lookahead == '>';
    default:
      return false;
  }
}

bool tree_sitter_optc_external_scanner_scan(void *payload, TSLexer *lexer, const bool *valid) {
  if (!valid[NEWLINE]) return false;
  bool ended = false;
  for (;;) {
    if (lexer->eof(lexer)) break;
    int32_t c = lexer->lookahead;
    if (is_blank(c)) {
      if (c == '\n' && !ended) {
        lexer->advance(lexer, false);
        lexer->mark_end(lexer);
        ended = true;
      } else {
        lexer->advance(lexer, !ended);
      }
      continue;
    }
    if (c == '/' && ended) {
      lexer->advance(lexer, false);
      if (lexer->lookahead != '/') return false;
      while (lexer->lookahead != '\n' && !lexer->eof(lexer)) lexer->advance(lexer, false);
      continue;
    }
    break;
  }
  if (!ended) return false;
  if (!lexer->eof(lexer) && (lexer->lookahead == '}' || !continues(lexer))) {
    lexer->result_symbol = NEWLINE;
    return true;
  }
  if (lexer->eof(lexer)) {
    lexer->result_symbol = NEWLINE;
    return true;
  }
  return false;
}
