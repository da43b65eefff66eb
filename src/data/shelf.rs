//! Data that was looked at before, so that no file is read twice.

use super::spec::{Pipeline, Schema};
use super::table::{Read, Values};
use super::{Context, Dataset, run};
use crate::diag::Diagnostic;
use std::sync::{Arc, Mutex, MutexGuard};

/// Schemas and data sets by their pipeline, for the time of one command.
pub struct Shelf {
    context: Context,
    seen: Mutex<Vec<Entry>>,
}

struct Entry {
    pipeline: Pipeline,
    schema: Schema,
    dataset: Option<Arc<Dataset>>,
}

impl Shelf {
    pub fn new(context: Context) -> Shelf {
        Shelf { context, seen: Mutex::new(vec![]) }
    }

    /// As [`super::schema`]. Where that needs all of the data (a text table), the data is kept for [`Shelf::open`].
    pub fn schema(&self, pipeline: &Pipeline) -> Result<Schema, Vec<Diagnostic>> {
        // Held while reading: another run on the same data waits for it instead of reading it again.
        let mut seen = self.seen();
        if let Some(entry) = seen.iter().find(|entry| entry.pipeline == *pipeline) {
            return Ok(entry.schema.clone());
        }
        let table = run(pipeline, &self.context, Read::Shapes)?;
        let schema = table.schema();
        let is_whole = table.columns.iter().all(|column| !matches!(column.values, Values::Unread));
        let dataset = is_whole.then(|| Arc::new(Dataset { schema: schema.clone(), table }));
        seen.push(Entry { pipeline: pipeline.clone(), schema: schema.clone(), dataset });
        Ok(schema)
    }

    fn seen(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.seen.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// As [`super::open`].
    pub fn open(&self, pipeline: &Pipeline) -> Result<Arc<Dataset>, Vec<Diagnostic>> {
        self.schema(pipeline)?;
        let mut seen = self.seen();
        let entry = seen.iter_mut().find(|entry| entry.pipeline == *pipeline).expect("its schema was just asked for");
        if let Some(dataset) = &entry.dataset {
            return Ok(dataset.clone());
        }
        let dataset = Arc::new(super::open(pipeline, &self.context)?);
        entry.dataset = Some(dataset.clone());
        Ok(dataset)
    }
}
