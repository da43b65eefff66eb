//! Pictures as SVG text, for papers and as the part of a report that needs no script.
//!
//! * [`scale`]: ranges, ticks and their labels
//! * [`svg`]: elements, escaping, colours
//! * [`lines`]: curves over steps; [`matrix`]: a confusion matrix; [`scatter`]: predictions against targets;
//!   [`parallel`]: settings and values of a sweep's trials
//!
//! Every element has its colours for white paper as attributes and a class beside them: the page's style sheet overrules
//! attributes, so the same picture follows a dark page.

pub mod lines;
pub mod matrix;
pub mod parallel;
pub mod scale;
pub mod scatter;
pub mod svg;
