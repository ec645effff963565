//! How fast rows are simulated, and read from each form with all checks. It scores nothing.
//!
//! `cargo bench --bench data`

use std::{hint::black_box, io::Cursor};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use gavel::{
    data::{FileFormat, Rows, Source},
    scoring::field::AttributeSchema,
    simulation::{COLUMNS, Simulation, SimulationSettings},
};

fn simulation() -> Simulation {
    let settings = SimulationSettings { cards: 2_000, days: 20, ..SimulationSettings::new(1) };
    Simulation::new(settings).expect("the settings are fine")
}

fn read(bytes: &[u8], format: FileFormat) -> u64 {
    let source = Source::from_reader("bench", Cursor::new(bytes.to_vec()), format).expect("memory does not fail");
    let mut rows = Rows::new(source, &AttributeSchema::default()).expect("the header is whole");
    let mut sound = 0;
    while let Some(row) = rows.next_row().expect("memory does not fail") {
        sound += u64::from(black_box(row.transaction).is_ok());
    }
    sound
}

fn rows(criterion: &mut Criterion) {
    let mut csv = format!("{}\n", COLUMNS.join(",")).into_bytes();
    let mut json = Vec::new();
    let mut count = 0;
    for row in simulation() {
        row.write_csv(&mut csv);
        row.write_json(&mut json);
        count += 1;
    }
    let mut group = criterion.benchmark_group("rows");
    group.sample_size(20).throughput(Throughput::Elements(count));
    group.bench_function("read csv of 33 columns", |bencher| bencher.iter(|| read(&csv, FileFormat::Csv)));
    group.bench_function("read json lines", |bencher| bencher.iter(|| read(&json, FileFormat::JsonLines)));
    let mut out = Vec::new();
    group.bench_function("simulate and write csv", |bencher| {
        bencher.iter(|| {
            for row in simulation() {
                out.clear();
                row.write_csv(&mut out);
                black_box(&out);
            }
        });
    });
    group.finish();
}

criterion_group!(benches, rows);
criterion_main!(benches);
