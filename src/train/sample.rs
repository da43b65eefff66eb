//! Text that a trained model writes: `sample(…)` of a train item.
//!
//! The newest tokens stand at the start of a row, as many as it holds; what follows them is filled up and must not matter (the
//! model is causal). The scores at the last of them give the next token. Each token is drawn with a random number that is a function
//! of the seed and its place, so that the same weights and seed write the same text.

use super::shuffle::key_of;
use super::state::{State, internal, result_tensors, unbound};
use super::{Engine, Failure, Rows};
use crate::data::Vocabulary;
use crate::diag::error;
use crate::ir::InputKind;
use crate::runtime::random::threefry2x32;
use crate::runtime::{Executable, Tensor};
use crate::sema::program::{Program, Sample};
use std::sync::Arc;

/// Keeps these numbers apart from those that a program draws with the same key.
const STREAM: u32 = 0x5341_4d50; // "SAMP"

/// A compiled sample; its prompt is known to be fit for the vocabulary.
pub struct Sampler {
    sample: Sample,
    vocabulary: Arc<Vocabulary>,
    prompt: Vec<i32>,
    executable: Box<dyn Executable>,
    /// For each input, a slot of the state; `None` for the row of tokens.
    inputs: Vec<Option<usize>>,
    row: Tensor,
    scores: Tensor,
}

impl Sampler {
    /// `None` if the program has no sample.
    pub fn new(
        program: &Program,
        engine: &dyn Engine,
        data: &dyn Rows,
        state: &State,
    ) -> Result<Option<Sampler>, Failure> {
        let (Some(sample), Some(graph)) = (&program.sample, program.graphs.sample()?) else { return Ok(None) };
        let Some(vocabulary) = data.vocabulary(&sample.column) else {
            let what = error("E0309", format!("'{}' has no vocabulary to write with", sample.column));
            let what = what.at(sample.span, "this sample");
            return Err(what.help("such columns come from `text(…)` and `synthetic.text(…)`").into());
        };
        let prompt = vocabulary.encode(&sample.prompt).map_err(|character| {
            error("E0309", format!("the prompt has a character that is not in the vocabulary: {character:?}"))
                .at(sample.span, "this text")
                .note("a vocabulary of characters has those of the data")
        })?;
        let mut inputs = vec![];
        let mut row = None;
        for input in &graph.inputs {
            if input.kind == InputKind::Batch {
                row = Some(Tensor::zeros(input.ty.clone()));
                inputs.push(None);
            } else {
                inputs.push(Some(state.slot(&input.kind, &input.name).ok_or_else(|| unbound(&graph, &input.name))?));
            }
        }
        let row = row.ok_or_else(|| {
            error("E0309", "the sample does not depend on its column")
                .at(sample.span, "every row gives the same scores")
        })?;
        let scores = result_tensors(&graph).pop().ok_or_else(|| internal("a sample without scores".into()))?;
        let executable = engine.compile(&graph)?;
        Ok(Some(Sampler { sample: sample.clone(), vocabulary, prompt, executable, inputs, row, scores }))
    }

    /// The prompt, and what the model writes after it.
    pub fn write(&mut self, state: &mut State, seed: u64) -> Result<String, Failure> {
        state.set_clocks(state.step);
        let mut tokens = self.prompt.clone();
        let key = key_of(seed);
        let draw = |place: usize| {
            let [a, b] = threefry2x32([key[0], key[1] ^ STREAM], [place as u32, 0]);
            (u64::from(a) << 32 | u64::from(b)) as f64 / 2f64.powi(64)
        };
        if tokens.is_empty() {
            let any = (draw(0) * self.vocabulary.len() as f64) as i32;
            tokens.push(any.min(self.vocabulary.len() as i32 - 1));
        }
        let mut values: Vec<Option<Tensor>> =
            self.inputs.iter().map(|slot| slot.map(|s| state.slots[s].clone())).collect();
        for place in 1..=self.sample.length {
            let scores = self.next_scores(&tokens, &mut values);
            let hidden = [self.vocabulary.unknown(), self.vocabulary.padding()];
            tokens.push(choose(&scores, &hidden, &self.sample, draw(place)).ok_or_else(|| {
                let what = error("E0601", "the scores of a sample are not finite").at(self.sample.span, "this sample");
                Failure::Training(Box::new(what))
            })?);
        }
        Ok(self.vocabulary.decode(&tokens))
    }

    /// The scores of all tokens to follow these.
    fn next_scores(&mut self, tokens: &[i32], values: &mut [Option<Tensor>]) -> Vec<f64> {
        let context = self.sample.context;
        let seen = &tokens[tokens.len().saturating_sub(context)..];
        let filling = self.vocabulary.padding().unwrap_or(0);
        let row = self.row.i32s_mut();
        row.fill(filling);
        row[..seen.len()].copy_from_slice(seen);
        let mut row = Some(&mut self.row);
        let mut inputs: Vec<&mut Tensor> = vec![];
        for value in values {
            inputs.extend(match value {
                Some(value) => Some(value),
                None => row.take(),
            });
        }
        self.executable.run(&mut inputs, std::slice::from_mut(&mut self.scores));
        let count = self.vocabulary.len();
        let all = self.scores.to_f64s();
        all[(seen.len() - 1) * count..seen.len() * count].to_vec()
    }
}

/// The token whose share of the probabilities holds `random` in [0, 1), among those that the settings leave.
fn choose(scores: &[f64], hidden: &[Option<i32>], sample: &Sample, random: f64) -> Option<i32> {
    let allowed = |token: &usize| !hidden.contains(&Some(*token as i32)) && scores[*token].is_finite();
    let mut order: Vec<usize> = (0..scores.len()).filter(allowed).collect();
    // Stable: of equal scores the first token comes first.
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    order.truncate(sample.top_k.unwrap_or(order.len()));
    let best = *order.first()?;
    if sample.temperature == 0.0 {
        return Some(best as i32);
    }
    let weight = |token: &usize| ((scores[*token] - scores[best]) / sample.temperature).exp();
    let total: f64 = order.iter().map(weight).sum();
    let mut rest = random * total;
    for token in &order {
        rest -= weight(token);
        if rest < 0.0 {
            return Some(*token as i32);
        }
    }
    order.last().map(|token| *token as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(temperature: f64, top_k: Option<usize>) -> Sample {
        let (column, prompt, span) = ("text".into(), String::new(), Default::default());
        Sample { column, context: 4, prompt, length: 1, temperature, top_k, span }
    }

    #[test]
    fn tokens_are_drawn_by_their_probabilities() {
        let scores = [1f64.ln(), 4f64.ln(), 3f64.ln(), f64::NAN];
        let count = |sample: &Sample, hidden: &[Option<i32>]| {
            let mut counts = [0; 4];
            (0..1000)
                .for_each(|i| counts[choose(&scores, hidden, sample, f64::from(i) / 1000.0).unwrap() as usize] += 1);
            counts
        };
        // In a thousand equal steps, each token has its thousandths: 1/8, 4/8 and 3/8 of them, and so on.
        let near = |found: [i32; 4], wanted: [i32; 4]| found.iter().zip(wanted).all(|(f, w)| (f - w).abs() <= 1);
        assert!(near(count(&sample(1.0, None), &[]), [125, 500, 375, 0]));
        assert!(near(count(&sample(1.0, Some(2)), &[]), [0, 571, 429, 0]));
        assert!(near(count(&sample(0.5, None), &[None, Some(1)]), [100, 0, 900, 0]));
        assert_eq!(count(&sample(0.0, None), &[]), [0, 1000, 0, 0]);
        assert_eq!(choose(&[f64::NAN], &[], &sample(1.0, None), 0.5), None);
    }
}
