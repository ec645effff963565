//! An evaluation as a page for a browser and as JSON. The page holds everything it shows and fetches nothing.

use std::fmt::{Display, Write as _};

use plotters::{
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use super::{
    matrix::Matrix,
    metrics::{CalibrationBin, Point, Scored, Stopped, Values, calibration, curve, ranked, stopped_at},
};
use crate::scoring::model::Model;

/// A model measured on rows.
pub struct Evaluation<'e> {
    /// The model.
    pub model: &'e Model,
    /// The rows.
    pub rows: &'e Matrix,
    /// The rows with its scores.
    pub scored: &'e [Scored],
    /// What was measured.
    pub values: &'e Values,
    /// The thresholds of the policy, by the verdict that they give.
    pub thresholds: [(&'static str, f64); 2],
}

/// Width and height of a chart, in pixels.
const SIZE: (u32, u32) = (500, 400);

/// Points of a curve, at most: more cannot be told apart.
const POINTS_MAX: usize = 800;

/// Features that the chart of importance shows.
const FEATURES_SHOWN: usize = 20;

/// Bars of the score's distribution.
const SCORE_BARS: usize = 50;

const LINE: RGBColor = RGBColor(31, 92, 153);
const FRAUD: RGBColor = RGBColor(178, 58, 43);
const GRID: RGBColor = RGBColor(228, 228, 228);
/// Of axes and names.
const LETTERS: (&str, u32) = ("sans-serif", 13);
/// Half of a bar's height, where the next one is 1 away.
const BAR_HALF: f64 = 0.42;
const FAINT: RGBColor = RGBColor(150, 150, 150);

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:66rem;margin:2rem auto;padding:0 1rem;\
color:#1c1c1c;background:#fff}h1{font-size:1.5rem}h2{font-size:1.1rem;margin:2rem 0 .5rem}table{border-collapse:\
collapse}td,th{padding:.2rem .9rem .2rem 0;text-align:left;font-weight:normal}td{font-variant-numeric:tabular-nums}\
th{color:#555}.charts{display:flex;flex-wrap:wrap;gap:1rem}figure{margin:0}figcaption{color:#555;max-width:30rem}";

impl Evaluation<'_> {
    /// Everything that was measured.
    pub fn json(&self) -> serde_json::Value {
        let header = self.model.header();
        let bin = |bin: &CalibrationBin| serde_json::json!({ "rows": bin.weight, "mean_score": bin.scores / bin.weight, "fraud_rate": bin.frauds / bin.weight });
        let threshold = |(verdict, from_score, stopped): (&str, f64, Stopped)| {
            let Stopped { caught, missed, wrongly_stopped } = stopped;
            let (precision, recall) = (stopped.precision(), stopped.recall());
            serde_json::json!({
                "verdict": verdict, "from_score": from_score, "caught": caught, "missed": missed,
                "wrongly_stopped": wrongly_stopped, "precision": precision, "recall": recall,
            })
        };
        serde_json::json!({
            "model": { "name": header.name, "version": self.model.version(), "learner": header.learner },
            "rows": self.rows.rows(),
            "frauds": self.rows.fraud_count(),
            "metrics": self.values,
            "calibration": calibration(self.scored).iter().map(bin).collect::<Vec<_>>(),
            "at_thresholds": self.at_thresholds().map(threshold),
        })
    }

    /// What each threshold of the policy stops: the verdict, the threshold, the rows.
    pub fn at_thresholds(&self) -> [(&'static str, f64, Stopped); 2] {
        self.thresholds.map(|(verdict, threshold)| (verdict, threshold, stopped_at(self.scored, threshold)))
    }
}

/// The page.
pub fn page(evaluation: &Evaluation<'_>) -> Result<String, String> {
    let header = evaluation.model.header();
    let ranked = ranked(evaluation.scored);
    let points = curve(&ranked);
    let charts = [
        (
            roc(&points),
            "ROC: of the frauds and of the legitimate transactions, the share scored at or above each threshold. The grey line is chance.",
        ),
        (precision_recall(&points), "Precision and recall at each threshold. The grey line is the share of fraud."),
        (
            calibration_chart(evaluation.scored),
            "Calibration: in ten bins of equal width, the share of fraud against the mean score. On the grey line a score is a probability. Larger points hold more rows.",
        ),
        (
            score_chart(evaluation.scored),
            "Score distribution, the share of each class on a logarithmic scale: frauds red, others blue.",
        ),
        (
            importance_chart(evaluation.model),
            "Mean contribution of the features on the training rows, in log-odds, frauds and others weighing the same.",
        ),
    ];
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{name} {version}</title>\
         <style>{STYLE}</style></head><body>\n<h1>{name} <small>{version}</small></h1>\n\
         <p>Learnt by {learner} on {trained} transactions ({trained_frauds} frauds) from {from} to {to}. \
         Measured on {rows} transactions, {frauds} of them fraud.</p>\n<h2>Quality</h2>\n<table>\n\
         <tr><th>metric</th><th>value</th><th>95 % interval, by resampling cards</th></tr>\n",
        name = escaped(&header.name),
        version = evaluation.model.version(),
        learner = escaped(&header.learner),
        trained = header.training.rows,
        trained_frauds = header.training.frauds,
        from = escaped(&header.training.period.from),
        to = escaped(&header.training.period.to),
        rows = evaluation.rows.rows(),
        frauds = evaluation.rows.fraud_count(),
    );
    for (name, interval) in evaluation.values {
        // Writing to a string cannot fail.
        let _ = writeln!(
            page,
            "<tr><td>{}</td><td>{:.4}</td><td>{:.4} to {:.4}</td></tr>",
            name.replace('_', " "),
            interval.value,
            interval.low,
            interval.high
        );
    }
    page.push_str(
        "</table>\n<h2>At the thresholds</h2>\n<table>\n<tr><th>verdict</th><th>from score</th>\
         <th>frauds caught</th><th>missed</th><th>wrongly stopped</th><th>precision</th><th>recall</th></tr>\n",
    );
    let share = |share: Option<f64>| share.map_or("none".to_owned(), |share| format!("{share:.4}"));
    for (verdict, from, stopped) in evaluation.at_thresholds() {
        let Stopped { caught, missed, wrongly_stopped } = stopped;
        let (precision, recall) = (share(stopped.precision()), share(stopped.recall()));
        let _ = writeln!(
            page,
            "<tr><td>{verdict}</td><td>{from}</td><td>{caught}</td><td>{missed}</td><td>{wrongly_stopped}</td>\
             <td>{precision}</td><td>{recall}</td></tr>"
        );
    }
    page.push_str("</table>\n<h2>Curves</h2>\n<div class=\"charts\">\n");
    for (chart, caption) in charts {
        let _ = writeln!(page, "<figure>{}<figcaption>{caption}</figcaption></figure>", chart?);
    }
    page.push_str("</div>\n<h2>Features</h2>\n<table>\n<tr><th>feature</th><th>expression</th></tr>\n");
    for feature in &header.features {
        let (name, expression) = (escaped(&feature.name), escaped(&feature.expression));
        let _ = writeln!(page, "<tr><td>{name}</td><td><code>{expression}</code></td></tr>");
    }
    page.push_str("</table>\n</body></html>\n");
    Ok(page)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn problem(error: impl Display) -> String {
    format!("a chart cannot be drawn: {error}")
}

/// Every so many points of a curve, the last one in any case.
fn thinned(points: &[Point]) -> impl Iterator<Item = &Point> {
    let step = points.len().div_ceil(POINTS_MAX).max(1);
    let last = points.len().saturating_sub(1);
    points.iter().enumerate().filter(move |(place, _)| place % step == 0 || *place == last).map(|(_, point)| point)
}

fn roc(points: &[Point]) -> Result<String, String> {
    let last = points.last().copied().unwrap_or_default();
    let rates = |point: &Point| (point.false_alarms / last.false_alarms.max(1.0), point.caught / last.caught.max(1.0));
    let line: Vec<(f64, f64)> = std::iter::once((0.0, 0.0)).chain(thinned(points).map(rates)).collect();
    unit_chart("false positive rate", "recall", &[(0.0, 0.0), (1.0, 1.0)], &line, &[])
}

fn precision_recall(points: &[Point]) -> Result<String, String> {
    let last = points.last().copied().unwrap_or_default();
    let rate = last.caught / (last.caught + last.false_alarms).max(1.0);
    let pair =
        |point: &Point| (point.caught / last.caught.max(1.0), point.caught / (point.caught + point.false_alarms));
    let line: Vec<(f64, f64)> = thinned(points).map(pair).collect();
    unit_chart("recall", "precision", &[(0.0, rate), (1.0, rate)], &line, &[])
}

/// A line or points, each with its size, over the unit square, and a faint line to compare with.
fn unit_chart(
    across: &str,
    up: &str,
    faint: &[(f64, f64)],
    line: &[(f64, f64)],
    points: &[((f64, f64), i32)],
) -> Result<String, String> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        let mut chart = ChartBuilder::on(&area)
            .margin(12)
            .x_label_area_size(44)
            .y_label_area_size(52)
            .build_cartesian_2d(0.0..1.0, 0.0..1.0)
            .map_err(problem)?;
        chart
            .configure_mesh()
            .x_desc(across)
            .y_desc(up)
            .label_style(LETTERS)
            .bold_line_style(GRID)
            .light_line_style(WHITE)
            .draw()
            .map_err(problem)?;
        chart.draw_series(std::iter::once(PathElement::new(faint.to_vec(), FAINT))).map_err(problem)?;
        if !line.is_empty() {
            chart
                .draw_series(std::iter::once(PathElement::new(line.to_vec(), LINE.stroke_width(2))))
                .map_err(problem)?;
        }
        let circle = |(place, size): &((f64, f64), i32)| Circle::new(*place, *size, LINE.filled());
        chart.draw_series(points.iter().map(circle)).map_err(problem)?;
        area.present().map_err(problem)?;
    }
    Ok(svg)
}

fn calibration_chart(scored: &[Scored]) -> Result<String, String> {
    let point = |bin: &CalibrationBin| {
        let size = 3.0 + 1.2 * libm::log10(bin.weight);
        ((bin.scores / bin.weight, bin.frauds / bin.weight), size as i32)
    };
    let points: Vec<_> = calibration(scored).iter().filter(|bin| bin.weight > 0.0).map(point).collect();
    unit_chart("mean score", "share of fraud", &[(0.0, 0.0), (1.0, 1.0)], &[], &points)
}

fn score_chart(scored: &[Scored]) -> Result<String, String> {
    let mut bars = [[0.0_f64; SCORE_BARS]; 2];
    let mut totals = [0.0_f64; 2];
    for row in scored {
        let (class, bar) = (usize::from(row.fraud), ((row.score * SCORE_BARS as f64) as usize).min(SCORE_BARS - 1));
        bars[class][bar] += 1.0;
        totals[class] += 1.0;
    }
    let least = 0.5 / totals[0].max(totals[1]).max(1.0);
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        let mut chart = ChartBuilder::on(&area)
            .margin(12)
            .x_label_area_size(44)
            .y_label_area_size(64)
            .build_cartesian_2d(0.0..1.0, (least..1.0).log_scale())
            .map_err(problem)?;
        let share = |share: &f64| format!("{share:.0e}");
        chart
            .configure_mesh()
            .x_desc("score")
            .y_desc("share of the class")
            .y_label_formatter(&share)
            .label_style(LETTERS)
            .bold_line_style(GRID)
            .light_line_style(WHITE)
            .draw()
            .map_err(problem)?;
        for (class, colour) in [LINE, FRAUD].into_iter().enumerate() {
            let bar = |(place, count): (usize, &f64)| {
                let (from, to) = (place as f64 / SCORE_BARS as f64, (place + 1) as f64 / SCORE_BARS as f64);
                let share = (count / totals[class].max(1.0)).max(least);
                Rectangle::new([(from, least), (to, share)], colour.mix(0.45).filled())
            };
            chart.draw_series(bars[class].iter().enumerate().map(bar)).map_err(problem)?;
        }
        area.present().map_err(problem)?;
    }
    Ok(svg)
}

fn importance_chart(model: &Model) -> Result<String, String> {
    let mut features: Vec<_> = model.features().iter().collect();
    features.sort_by(|a, b| b.importance.total_cmp(&a.importance).then_with(|| a.name.cmp(&b.name)));
    features.truncate(FEATURES_SHOWN);
    let most = features.first().map_or(1.0, |feature| feature.importance).max(1e-9);
    let rows = features.len() as f64;
    let letters = TextStyle::from(LETTERS.into_font()).pos(Pos::new(HPos::Left, VPos::Center));
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        let mut chart = ChartBuilder::on(&area)
            .margin(12)
            .x_label_area_size(44)
            .build_cartesian_2d(0.0..most * 1.02, 0.0..rows.max(1.0))
            .map_err(problem)?;
        chart
            .configure_mesh()
            .disable_y_mesh()
            .disable_y_axis()
            .x_desc("log-odds")
            .label_style(LETTERS)
            .bold_line_style(GRID)
            .light_line_style(WHITE)
            .draw()
            .map_err(problem)?;
        for (place, feature) in features.iter().enumerate() {
            let middle = rows - 0.5 - place as f64;
            let bar = [(0.0, middle - BAR_HALF), (feature.importance, middle + BAR_HALF)];
            let bar = Rectangle::new(bar, LINE.mix(0.35).filled());
            let name = Text::new(feature.name.clone(), (most * 0.01, middle), letters.clone());
            chart.draw_series(std::iter::once(bar)).map_err(problem)?;
            chart.draw_series(std::iter::once(name)).map_err(problem)?;
        }
        area.present().map_err(problem)?;
    }
    Ok(svg)
}
