(comment) @comment
(doc_comment) @comment.documentation
(string) @string
(escape) @string.escape
(number) @number
(boolean) @boolean

(definition kind: _ @keyword.function)
["use"] @keyword.import
["const" "data" "train" "compare" "sweep" "test" "step" "on"] @keyword
["let" "param" "state" "role"] @keyword
["if" "then" "else"] @keyword.conditional
["for" "in" "scan"] @keyword.repeat
["minimize" "report" "observe" "expect" "within" "with" "over" "where" "by" "minimizing" "maximizing"] @keyword
["and" "or" "not"] @keyword.operator

["=" "<-" "←" "->" "→" "|>" "+" "-" "*" "/" "%" "@" "^" "==" "!=" "<" "<=" ">" ">=" "~" ".."] @operator
["(" ")" "[" "]" "{" "}"] @punctuation.bracket
["," ":" ";" "."] @punctuation.delimiter

(identifier) @variable
(definition name: (identifier) @function)
(call function: (identifier) @function.call)
(pipe (identifier) @function.call .)
(parameter name: (identifier) @variable.parameter)
(named_argument name: (identifier) @variable.parameter)
(setting name: (identifier) @property)
(field name: (identifier) @property)
(use_item module: (identifier) @module)
(type . (identifier) @type)
(role name: (identifier) @constant)
((identifier) @constant.builtin (#any-of? @constant.builtin "training" "pi" "inf" "nan" "but_last"))
