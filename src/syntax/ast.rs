//! The syntax tree: what the text says, before any meaning is given to names.

use crate::source::Span;

/// A name with its place. `m̂` and `m_hat` are different names; identifiers are compared after NFC-like care by the
/// lexer (combining marks stay part of the identifier).
#[derive(Clone, Debug, PartialEq)]
pub struct Ident {
    pub name: String,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct File {
    pub items: Vec<Item>,
    /// Parts of the text that could not be read: whole items, or statements of an item. Empty if there are no errors.
    pub left_out: Vec<Span>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Text of the `///` lines before the item, joined with newlines.
    pub doc: Option<String>,
    pub kind: ItemKind,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ItemKind {
    Use(Use),
    Const(Const),
    Def(Def),
    Data(Data),
    Train(Train),
    Compare(Experiment),
    Sweep(Experiment),
    Test(Test),
}

/// `use layers.{Dense, flatten}`, `use losses.cross_entropy`, `use layers.*`; a relative file: `use "mine.opt".{Foo}`.
#[derive(Clone, Debug, PartialEq)]
pub struct Use {
    pub module: Ident,
    /// True when the module was written as a string (a file next to this one).
    pub is_file: bool,
    /// `None` for `.*`.
    pub names: Option<Vec<Ident>>,
}

/// `const n = 10`
#[derive(Clone, Debug, PartialEq)]
pub struct Const {
    pub name: Ident,
    pub ty: Option<TypeExpr>,
    pub value: Expr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DefKind {
    Fn,
    Init,
    Layer,
    Model,
    Loss,
    Metric,
    Schedule,
    Transform,
    Optimizer,
}

impl DefKind {
    pub fn keyword(self) -> &'static str {
        match self {
            DefKind::Fn => "fn",
            DefKind::Init => "init",
            DefKind::Layer => "layer",
            DefKind::Model => "model",
            DefKind::Loss => "loss",
            DefKind::Metric => "metric",
            DefKind::Schedule => "schedule",
            DefKind::Transform => "transform",
            DefKind::Optimizer => "optimizer",
        }
    }
}

/// `kind Name(hyper-parameters)(inputs) -> type { body }`. One list of parentheses is the inputs.
#[derive(Clone, Debug, PartialEq)]
pub struct Def {
    pub kind: DefKind,
    pub name: Ident,
    pub hypers: Vec<Param>,
    pub inputs: Vec<Param>,
    pub result: Option<TypeExpr>,
    /// `= expr` is a body of one expression statement.
    pub body: Block,
}

/// `name: type = default`
#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    pub name: Ident,
    pub ty: Option<TypeExpr>,
    pub default: Option<Expr>,
}

/// `float[N, 28, 28]`, `int`, `init`, `float[.., D]`; `float[D] role norm` of a parameter, an input or a result.
#[derive(Clone, Debug, PartialEq)]
pub struct TypeExpr {
    /// What it is for: `norm`, `logits`.
    pub role: Option<Ident>,
    pub base: Ident,
    /// `None`: no brackets. `float[]` has an empty list (a scalar).
    pub dims: Option<Vec<DimExpr>>,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum DimExpr {
    /// `..`: any number of axes.
    Rest(Span),
    Size(Expr),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    pub stmts: Vec<Stmt>,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Stmt {
    pub kind: StmtKind,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum StmtKind {
    /// `let x = e`, `let x: float[N] = e`, `let (q, r) = e`.
    Let {
        names: Vec<Ident>,
        ty: Option<TypeExpr>,
        value: Expr,
    },
    /// `param w: float[D, units] = init`
    Param(Decl),
    /// `state m = 0`, `state r: float[R] = 0`, `all state d: float = 1`
    State(Decl),
    /// `x <- e`
    Update {
        target: Expr,
        value: Expr,
    },
    /// `eval theta = e`: the value of a parameter that evaluation uses.
    Eval {
        target: Ident,
        value: Expr,
    },
    /// Also the value of its block when it is the last statement; so is `If`.
    Expr(Expr),
    If {
        cond: Expr,
        then: Block,
        otherwise: Option<Block>,
    },
    /// `for i in 0..n { … }`: unrolled.
    For {
        var: Ident,
        range: Expr,
        body: Block,
    },
    /// `minimize loss [over target with optimizer, …] with optimizer`
    Minimize(Minimize),
    /// `report accuracy(z, y), mae(z, y)`
    Report(Vec<Expr>),
    /// `observe norm(u), lr`
    Observe(Vec<Expr>),
    /// `expect e` in a `test` block: a bool, or `expect a ~ b within tol`.
    Expect {
        value: Expr,
        near: Option<Expr>,
        within: Option<Expr>,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub struct Decl {
    /// `all state …`: one value for all tensors that a rule updates.
    pub whole: bool,
    pub name: Ident,
    pub ty: Option<TypeExpr>,
    pub value: Option<Expr>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Minimize {
    pub loss: Expr,
    pub groups: Vec<Group>,
}

/// `[over target [where predicate]] with optimizer`; `rest with optimizer` has the target name `rest`.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    pub over: Option<Expr>,
    pub filter: Option<Expr>,
    pub optimizer: Expr,
}

/// `data name = source(…) |> step(…)`
#[derive(Clone, Debug, PartialEq)]
pub struct Data {
    pub name: Ident,
    pub value: Expr,
}

/// `train name(hyper-parameters) on data { settings; let …; step(columns) { … }; sample(column, …) { … } }`
#[derive(Clone, Debug, PartialEq)]
pub struct Train {
    pub name: Ident,
    pub hypers: Vec<Param>,
    pub data: Expr,
    /// `batch = 128`
    pub settings: Vec<(Ident, Expr)>,
    /// `minimizing test.loss`, `maximizing test.accuracy`: (maximize, expression).
    pub objective: Option<(bool, Expr)>,
    /// `let net = Mlp(hidden)`, in order.
    pub lets: Vec<Stmt>,
    pub step: Option<Step>,
    pub sample: Option<Sample>,
}

/// `sample(text, prompt = "…", length = 300) { net(text) }`
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    pub args: Vec<Arg>,
    pub body: Block,
    pub span: Span,
}

/// `step(image, label) { … }`
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    pub inputs: Vec<Ident>,
    pub body: Block,
    pub span: Span,
}

/// `compare name over p in [a, b], q in [c, d], seeds = 3`; `sweep … by strategy(…) minimizing test.loss`.
#[derive(Clone, Debug, PartialEq)]
pub struct Experiment {
    pub train: Ident,
    pub axes: Vec<(Ident, Expr)>,
    pub settings: Vec<(Ident, Expr)>,
    /// `by bayesian(trials = 30)`
    pub strategy: Option<Expr>,
    /// `minimizing test.loss`, `maximizing test.accuracy`: (maximize, expression).
    pub objective: Option<(bool, Expr)>,
}

/// `test "name" { let …; expect … }`
#[derive(Clone, Debug, PartialEq)]
pub struct Test {
    pub name: String,
    pub body: Block,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    pub kind: ExprKind,
    pub span: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UnOp {
    Neg,
    Not,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BinOp {
    Add,
    Sub,
    Mul,
    Div,
    Rem,
    Pow,
    MatMul,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    And,
    Or,
}

impl BinOp {
    pub fn symbol(self) -> &'static str {
        match self {
            BinOp::Add => "+",
            BinOp::Sub => "-",
            BinOp::Mul => "*",
            BinOp::Div => "/",
            BinOp::Rem => "%",
            BinOp::Pow => "^",
            BinOp::MatMul => "@",
            BinOp::Eq => "==",
            BinOp::Ne => "!=",
            BinOp::Lt => "<",
            BinOp::Le => "<=",
            BinOp::Gt => ">",
            BinOp::Ge => ">=",
            BinOp::And => "and",
            BinOp::Or => "or",
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// `10`, `60_000`
    Int(i64),
    /// `1e-3`, `0.5`, and integers too large for 64 bits
    Float(f64),
    Str(String),
    Bool(bool),
    Name(String),
    /// `[a, b]`: a list, or a tensor of scalars
    List(Vec<Expr>),
    /// `(a, b)`: a tuple; a parenthesised expression is just that expression
    Tuple(Vec<Expr>),
    Unary(UnOp, Box<Expr>),
    Binary(BinOp, Box<Expr>, Box<Expr>),
    /// `x |> f`
    Pipe(Box<Expr>, Box<Expr>),
    Call(Box<Expr>, Vec<Arg>),
    Index(Box<Expr>, Vec<IndexItem>),
    Field(Box<Expr>, Ident),
    /// `if c then a else b` and `if c { … } else { … }` in expression position
    If(Box<Expr>, Block, Option<Block>),
    /// `a .. b`
    Range(Box<Expr>, Box<Expr>),
    /// `scan x in xs, axis = 1 { … }`
    Scan(Box<Scan>),
}

/// A run-time loop along an axis. What its body updates is carried; its value is what the body's value was at each step.
#[derive(Clone, Debug, PartialEq)]
pub struct Scan {
    /// `x in xs`, one or more.
    pub items: Vec<(Ident, Expr)>,
    /// `axis = 1`, `reverse = true`
    pub settings: Vec<(Ident, Expr)>,
    pub body: Block,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Arg {
    pub name: Option<Ident>,
    pub value: Expr,
}

// Slices are as large as three expressions; boxing them would make every match on them longer for no gain.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug, PartialEq)]
pub enum IndexItem {
    At(Expr),
    /// `a:b:step`, each part optional.
    Slice {
        start: Option<Expr>,
        end: Option<Expr>,
        step: Option<Expr>,
        span: Span,
    },
    /// `..`: all axes not named.
    Rest(Span),
    /// `new`: a new axis of size 1.
    New(Span),
}
