//! Real data sets, against the facts in their READMEs.

use super::super::{Context, Dataset, Split, open};
use super::*;

fn opened(context: &Context, source: Call, steps: &[Call]) -> Dataset {
    let pipeline = pipeline(source, steps);
    let data = open(&pipeline, context).unwrap_or_else(|errors| panic!("{errors:#?}"));
    assert_eq!(super::super::schema(&pipeline, context).as_ref(), Ok(data.schema()));
    data
}

fn counts(labels: &[f64]) -> Vec<usize> {
    let mut counts = vec![0; labels.iter().fold(0.0, |a: f64, b| a.max(*b)) as usize + 1];
    labels.iter().for_each(|l| counts[*l as usize] += 1);
    counts
}

fn every_fifth() -> Call {
    call("split", &[("every", Value::Int(5))])
}

#[test]
fn linreg_is_fitted_by_the_known_least_squares_line() {
    let Some(context) = shared("linreg-synthetic") else { return };
    let source = call("csv", &[("", text("linreg.csv")), ("x", texts(&["x1", "x2"])), ("y", text("y"))]);
    let data = opened(&context, source, &[]);
    assert_eq!((data.schema().train_rows, data.schema().test_rows), (200, 0));
    let (x, y) = (column(&data, Split::Train, "x"), column(&data, Split::Train, "y"));
    assert_eq!(&x[..2], &[-0.326967, -0.974315]);
    let error = |x: &[f64], y: f64| 3.00665525337 * x[0] + 2.00771578565 * x[1] + 0.00547581472978 - y;
    let mse = x.chunks(2).zip(&y).map(|(x, y)| error(x, *y).powi(2)).sum::<f64>() / 200.0;
    assert!((mse - 0.00883947814024).abs() < 1e-13, "{mse}");
}

#[test]
fn iris_without_header_and_without_last_newline() {
    let Some(context) = shared("iris") else { return };
    let label = nested("label", &[("", Value::Int(4))]);
    let source =
        call("csv", &[("", text("iris.data")), ("x", nested("except", &[("", ints(&[4]))])), ("species", label)]);
    let data = opened(&context, source, &[every_fifth(), call("standardize", &[("", name("x"))])]);
    assert_eq!((data.schema().train_rows, data.schema().test_rows), (120, 30));
    assert_eq!(data.schema().columns[0].shape, [4]);
    assert_eq!(data.schema().columns[1].classes, Some(3));
    assert_eq!(counts(&column(&data, Split::Train, "species")), [40, 40, 40]);
    let x = column(&data, Split::Train, "x");
    for feature in 0..4 {
        let values: Vec<f64> = x.iter().skip(feature).step_by(4).copied().collect();
        let mean = values.iter().sum::<f64>() / 120.0;
        let var = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 120.0;
        assert!(mean.abs() < 1e-14 && (var - 1.0).abs() < 1e-13, "{mean} {var}");
    }
}

#[test]
fn wine_classes_are_ordered_as_numbers() {
    let Some(context) = shared("wine") else { return };
    let label = nested("label", &[("", Value::Int(-1))]);
    let source =
        call("csv", &[("", text("wine.csv")), ("x", nested("except", &[("", ints(&[-1]))])), ("label", label)]);
    let data = opened(&context, source, &[]);
    assert_eq!(counts(&column(&data, Split::Train, "label")), [59, 71, 48]);
    assert_eq!(column(&data, Split::Train, "x")[7], 0.28);
}

#[test]
fn breast_cancer_with_given_classes() {
    let Some(context) = shared("breast-cancer") else { return };
    let label = nested("label", &[("", Value::Int(1)), ("classes", texts(&["M", "B"]))]);
    let x = nested("except", &[("", ints(&[0, 1]))]);
    let source = call("csv", &[("", text("wdbc.data")), ("x", x), ("label", label)]);
    let data = opened(&context, source, &[]);
    assert_eq!(data.schema().columns[0].shape, [30]);
    assert_eq!(counts(&column(&data, Split::Train, "label")), [212, 357]);
}

#[test]
fn penguins_drop_rows_with_missing_measurements() {
    let Some(context) = shared("penguins") else { return };
    let x = texts(&["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"]);
    let species = nested("label", &[("", text("species"))]);
    let args = |missing: &[(&'static str, Value)]| {
        let mut args = vec![("", text("penguins.csv")), ("x", x.clone()), ("species", species.clone())];
        args.extend_from_slice(missing);
        call("csv", &args)
    };
    let data = opened(&context, args(&[("missing", text("drop"))]), &[every_fifth()]);
    assert_eq!((data.schema().train_rows, data.schema().test_rows), (274, 68));
    let errors = open(&pipeline(args(&[]), &[]), &context).unwrap_err();
    assert_eq!(errors[0].code, "E0405");
    assert!(
        errors[0].notes[0].ends_with("penguins.csv, line 5, field 2 (\"bill_length_mm\")"),
        "{:?}",
        errors[0].notes
    );
}

#[test]
fn california_housing_counts_its_places() {
    let Some(context) = shared("california-housing") else { return };
    let place = nested("label", &[("", text("ocean_proximity"))]);
    let source = call("csv", &[("", text("housing.csv")), ("y", text("median_house_value")), ("place", place)]);
    let data = opened(&context, source, &[]);
    assert_eq!(counts(&column(&data, Split::Train, "place")), [9136, 6551, 5, 2290, 2658]);
    let y = column(&data, Split::Train, "y");
    assert!((y.iter().sum::<f64>() / y.len() as f64 - 206855.8169).abs() < 1e-4);
}

#[test]
fn mnist_has_its_published_counts() {
    let Some(context) = shared("") else { return };
    let data = opened(&context, call("mnist", &[("", text("mnist"))]), &[]);
    assert_eq!((data.schema().train_rows, data.schema().test_rows), (60_000, 10_000));
    assert_eq!(data.schema().columns[0].shape, [28, 28]);
    assert_eq!(data.schema().columns[1].classes, Some(10));
    let (train, test) = (column(&data, Split::Train, "label"), column(&data, Split::Test, "label"));
    assert_eq!(counts(&train), [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]);
    assert_eq!(counts(&test), [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]);
    assert_eq!(&train[..10], &[5.0, 0.0, 4.0, 1.0, 9.0, 2.0, 1.0, 3.0, 1.0, 4.0]);
    assert_eq!(&test[..10], &[7.0, 2.0, 1.0, 0.0, 4.0, 1.0, 4.0, 9.0, 5.0, 9.0]);
    let pixels = column(&data, Split::Test, "image");
    let mean = pixels.iter().sum::<f64>() / pixels.len() as f64;
    let var = pixels.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / pixels.len() as f64;
    assert!((mean - 0.132515).abs() < 1e-6 && (var.sqrt() - 0.310480).abs() < 1e-6, "{mean} {var}");
    assert!(pixels.iter().all(|v| *v == (v * 255.0).round() / 255.0), "exact 255ths");
}
