/**
 * The grammar of `.opt` files for tree-sitter. The compiler's own is grammar/opt.pest, which this one follows rule by rule; where a
 * line end ends a statement is decided in src/scanner.c, as src/syntax/layout.rs does it.
 */

/// <reference types="tree-sitter-cli/dsl" />
// @ts-check

const LEVEL = { pipe: 1, or: 2, and: 3, not: 4, compare: 5, range: 6, sum: 7, product: 8, minus: 9, power: 10, call: 11 };

const commaSep1 = (rule) => seq(rule, repeat(seq(",", rule)), optional(","));
const commaSep = (rule) => optional(commaSep1(rule));

module.exports = grammar({
  name: "optc",

  externals: ($) => [$._newline, $._item_end],
  extras: ($) => [/\s/, "\uFEFF", $.comment, $.doc_comment],
  word: ($) => $.identifier,

  conflicts: ($) => [
    [$.if_expression, $.if_statement],
    [$.scan_expression, $._name],
  ],

  rules: {
    source_file: ($) => seq(repeat($._item_separator), optional($._items)),
    _items: ($) => seq($._item, repeat(seq(repeat1($._item_separator), $._item)), repeat($._item_separator)),
    _item_separator: ($) => choice($._item_end, ";"),
    _separator: ($) => choice($._newline, ";"),

    _item: ($) =>
      choice($.use_item, $.const_item, $.definition, $.data_item, $.train_item, $.compare_item, $.sweep_item, $.test_item),

    // ---------------------------------------------------------------------------------------------------------- items

    use_item: ($) =>
      seq("use", field("module", choice($.string, $.identifier)), ".", choice("*", $.use_names, field("name", $.identifier))),
    use_names: ($) => seq("{", commaSep1(field("name", $.identifier)), "}"),

    const_item: ($) => seq("const", field("name", $.identifier), optional($._type_note), "=", field("value", $._expression)),

    definition: ($) =>
      seq(
        field("kind", choice("fn", "init", "layer", "model", "loss", "metric", "schedule", "transform", "optimizer")),
        field("name", $.identifier),
        choice(seq(field("hypers", $.parameters), field("inputs", $.inputs)), field("inputs", $.inputs)),
        optional(seq(choice("->", "→"), field("result", $.type), optional($.role))),
        choice(seq("=", field("value", $._expression)), field("body", $.block)),
      ),
    parameters: ($) => seq("(", commaSep($.parameter), ")"),
    inputs: ($) => seq("(", commaSep($.parameter), ")"),
    parameter: ($) =>
      seq(field("name", $._name), optional(seq($._type_note, optional($.role))), optional(seq("=", field("default", $._expression)))),

    data_item: ($) => seq("data", field("name", $.identifier), "=", field("value", $._expression)),

    train_item: ($) =>
      seq(
        "train",
        field("name", $.identifier),
        optional(field("hypers", $.parameters)),
        "on",
        field("data", $._expression),
        field("body", $.train_body),
      ),
    train_body: ($) => seq("{", repeat($._separator), optional($._entries), "}"),
    _entries: ($) => seq($._entry, repeat(seq(repeat1($._separator), $._entry)), repeat($._separator)),
    _entry: ($) => choice($.step, $.sample, $.let_statement, $.setting, $.objective),
    step: ($) => seq("step", "(", commaSep(field("column", $._name)), ")", field("body", $.block)),
    sample: ($) => seq("sample", field("arguments", $.arguments), field("body", $.block)),
    setting: ($) => seq(field("name", $._name), "=", field("value", $._expression)),
    objective: ($) => seq(choice("minimizing", "maximizing"), $._expression),

    compare_item: ($) => seq("compare", $._experiment),
    sweep_item: ($) => seq("sweep", $._experiment),
    _experiment: ($) =>
      seq(
        field("train", $.identifier),
        "over",
        $._clause,
        repeat(seq(",", $._clause)),
        optional(seq("by", field("strategy", $._expression))),
        optional($.objective),
      ),
    _clause: ($) => choice($.axis, $.setting),
    axis: ($) => seq(field("name", $._name), "in", field("values", $._expression)),

    test_item: ($) => seq("test", field("name", $.string), field("body", $.block)),

    // ---------------------------------------------------------------------------------------------------------- types

    _type_note: ($) => seq(":", field("type", $.type)),
    type: ($) => prec.right(seq($._name, optional($.dims))),
    // What a parameter, an input or a result is for.
    role: ($) => seq("role", field("name", $.identifier)),
    dims: ($) => seq("[", commaSep(choice($.rest, $._expression)), "]"),
    rest: () => "..",

    // ----------------------------------------------------------------------------------------------------- statements

    block: ($) => seq("{", repeat($._separator), optional($._statements), "}"),
    _statements: ($) => seq($._statement, repeat(seq(repeat1($._separator), $._statement)), repeat($._separator)),
    _statement: ($) =>
      choice(
        $.let_statement,
        $.param_statement,
        $.state_statement,
        $.for_statement,
        $.minimize_statement,
        $.report_statement,
        $.observe_statement,
        $.expect_statement,
        $.eval_statement,
        $.update_statement,
        $.if_statement,
        $._expression,
      ),

    let_statement: ($) =>
      seq("let", choice(field("name", $.identifier), $.let_names), optional($._type_note), "=", field("value", $._expression)),
    let_names: ($) => seq("(", commaSep1(field("name", $.identifier)), ")"),
    param_statement: ($) =>
      seq(
        "param",
        field("name", $.identifier),
        optional(seq($._type_note, optional($.role))),
        optional(seq("=", field("value", $._expression))),
      ),
    state_statement: ($) => seq(optional("all"), "state", $._declaration),
    _declaration: ($) => seq(field("name", $.identifier), optional($._type_note), optional(seq("=", field("value", $._expression)))),
    eval_statement: ($) => seq("eval", field("target", $.identifier), "=", field("value", $._expression)),
    update_statement: ($) => seq(field("target", $._expression), choice("<-", "←"), field("value", $._expression)),
    for_statement: ($) => seq("for", field("variable", $.identifier), "in", field("range", $._expression), field("body", $.block)),
    minimize_statement: ($) => seq("minimize", field("loss", $._expression), $.group, repeat(seq(",", $.group))),
    group: ($) =>
      seq(
        optional(choice(seq("over", field("over", $._expression), optional(seq("where", field("where", $._expression)))), "rest")),
        "with",
        field("optimizer", $._expression),
      ),
    report_statement: ($) => seq("report", $._expression, repeat(seq(",", $._expression))),
    observe_statement: ($) => seq("observe", $._expression, repeat(seq(",", $._expression))),
    expect_statement: ($) =>
      seq("expect", $._expression, optional(seq("~", $._expression, optional(seq("within", field("tolerance", $._expression)))))),
    if_statement: ($) => prec.dynamic(1, $._if_blocks),

    // ---------------------------------------------------------------------------------------------------- expressions

    _expression: ($) =>
      choice(
        $.binary,
        $.pipe,
        $.range,
        $.unary,
        $.call,
        $.index,
        $.field,
        $.list,
        $.parenthesized,
        $.tuple,
        $.if_expression,
        $.scan_expression,
        $.number,
        $.string,
        $.boolean,
        $._name,
      ),

    binary: ($) => {
      const left = [
        [LEVEL.or, "or"],
        [LEVEL.and, "and"],
        [LEVEL.sum, choice("+", "-")],
        [LEVEL.product, choice("*", "/", "%", "@")],
        [LEVEL.compare, choice("==", "!=", "<", "<=", ">", ">=")],
      ];
      const rule = (operator) => seq(field("left", $._expression), field("operator", operator), field("right", $._expression));
      return choice(...left.map(([level, op]) => prec.left(level, rule(op))), prec.right(LEVEL.power, rule("^")));
    },
    pipe: ($) => prec.left(LEVEL.pipe, seq($._expression, "|>", $._expression)),
    range: ($) => prec.left(LEVEL.range, seq($._expression, "..", $._expression)),
    unary: ($) => choice(prec(LEVEL.minus, seq("-", $._expression)), prec(LEVEL.not, seq("not", $._expression))),

    call: ($) => prec(LEVEL.call, seq(field("function", $._expression), field("arguments", $.arguments))),
    arguments: ($) => seq("(", commaSep($._argument), ")"),
    _argument: ($) => choice($.named_argument, $._expression),
    named_argument: ($) => seq(field("name", $._name), "=", field("value", $._expression)),
    index: ($) => prec(LEVEL.call, seq($._expression, "[", commaSep1($._index_item), "]")),
    _index_item: ($) => choice($.rest, $.slice, $._expression),
    slice: ($) =>
      seq(optional($._expression), ":", optional($._expression), optional(seq(":", optional($._expression)))),
    field: ($) => prec(LEVEL.call, seq($._expression, ".", field("name", $._any_name))),

    list: ($) => seq("[", commaSep($._expression), "]"),
    parenthesized: ($) => seq("(", $._expression, ")"),
    tuple: ($) => seq("(", $._expression, ",", commaSep($._expression), ")"),

    if_expression: ($) =>
      prec.right(
        choice(
          seq("if", field("condition", $._expression), "then", field("then", $._expression), "else", field("else", $._expression)),
          $._if_blocks,
        ),
      ),
    _if_blocks: ($) =>
      prec.right(
        seq(
          "if",
          field("condition", $._expression),
          field("then", $.block),
          optional(seq("else", field("else", choice($.block, alias($._if_blocks, $.if_expression))))),
        ),
      ),
    scan_expression: ($) => seq("scan", $._clause, repeat(seq(",", $._clause)), field("body", $.block)),

    // -------------------------------------------------------------------------------------------------------- words

    // Words of the language that are names wherever they do not stand at their own place.
    _name: ($) =>
      choice($.identifier, alias(choice("all", "eval", "step", "in", "rest", "scan", "sample", "minimizing", "maximizing"), $.identifier)),
    _any_name: ($) => choice($._name, alias(choice("with", "over", "state", "param"), $.identifier)),
    identifier: () => /[\p{XID_Start}_∇∂][\p{XID_Continue}\u2080-\u209C′∇∂]*/,
    boolean: () => choice("true", "false"),
    number: () => /\d(_?\d)*(\.\d(_?\d)*)?([eE][+-]?\d(_?\d)*)?/,
    string: ($) => seq('"', repeat(choice($.escape, token.immediate(/[^"\\\n]+/))), token.immediate('"')),
    escape: () => token.immediate(/\\[nt"\\]/),
    doc_comment: () => token(prec(1, /\/\/\/([^/\n][^\n]*)?/)),
    comment: () => token(/\/\/[^\n]*/),
  },
});
