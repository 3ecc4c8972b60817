//! Decoding and encoding of flat records of about 200 bytes, eight fields each: the budgets of the JSON decoder, and
//! what the other directions cost. Throughput is in bytes of records; a batch is 8192 records.
//!
//! Time is the thread's processor time (`measure`).

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use datafusion::arrow::array::ArrayRef;
use thalweg::formats::{EncodedSide, FormatName, Side, SideColumn, decoder, encoder};
use thalweg::types::SqlType;

mod measure;

use measure::CpuTime;

const BATCH: usize = 8192;

/// Four BIGINT, one DOUBLE and three STRING columns.
fn side(format: FormatName) -> Side {
    let columns = [
        ("ORDER_ID", SqlType::BigInt),
        ("USER_ID", SqlType::String),
        ("ITEM_ID", SqlType::String),
        ("QUANTITY", SqlType::BigInt),
        ("PRICE", SqlType::Double),
        ("ADDRESS_ZIP", SqlType::BigInt),
        ("ORDER_TIME", SqlType::BigInt),
        ("COMMENT", SqlType::String),
    ];
    let columns = columns.into_iter().map(|(name, ty)| SideColumn { name: name.into(), ty }).collect();
    Side { format, delimiter: None, unwrapped: false, columns }
}

fn json_records() -> Vec<Vec<u8>> {
    let mut rng = fastrand::Rng::with_seed(7);
    (0..BATCH)
        .map(|i| {
            format!(
                r#"{{"order_id":{},"user_id":"user_{:05}","item_id":"item_{:04}","quantity":{},"price":{:.2},"address_zip":{},"order_time":{},"comment":"{}"}}"#,
                1_000_000 + i,
                rng.u32(0..100_000),
                rng.u32(0..10_000),
                rng.u32(1..10),
                rng.f64() * 1000.0,
                rng.u32(10_000..99_999),
                1_700_000_000_000_u64 + i as u64 * 17,
                &"please leave it at the back door and ring the bell twice before you go"[..rng.usize(30..60)],
            )
            .into_bytes()
        })
        .collect()
}

fn bytes(records: &[Vec<u8>]) -> u64 {
    records.iter().map(|record| record.len() as u64).sum()
}

fn decode_all(side: &Side, wanted: &[usize], records: &[Vec<u8>]) -> Vec<ArrayRef> {
    let mut decoder = decoder(side, wanted).expect("the format is built");
    for record in records {
        decoder.decode(record).expect("the record is good");
    }
    decoder.finish()
}

fn encode_all(side: &Side, columns: &[ArrayRef]) -> EncodedSide {
    let mut out = EncodedSide::default();
    encoder(side)
        .expect("the format is built")
        .encode(columns, BATCH, None, &mut out)
        .expect("the rows can be written");
    out
}

fn decode(criterion: &mut Criterion<CpuTime>, format: FormatName, records: &[Vec<u8>]) {
    let side = side(format);
    let mut group = criterion.benchmark_group(format!("{format} decode"));
    group.throughput(Throughput::BytesDecimal(bytes(records)));
    for wanted in [vec![0, 1, 2, 3, 4, 5, 6, 7], vec![0, 1, 4]] {
        let mut decoder = decoder(&side, &wanted).expect("the format is built");
        group.bench_function(BenchmarkId::new(format!("{} of 8 columns", wanted.len()), records.len()), |bencher| {
            bencher.iter(|| {
                for record in records {
                    decoder.decode(record).expect("the record is good");
                }
                decoder.finish()
            });
        });
    }
    group.finish();
}

fn encode(criterion: &mut Criterion<CpuTime>, format: FormatName, columns: &[ArrayRef]) {
    let side = side(format);
    let mut group = criterion.benchmark_group(format!("{format} encode"));
    group.throughput(Throughput::BytesDecimal(encode_all(&side, columns).data.len() as u64));
    let mut encoder = encoder(&side).expect("the format is built");
    let mut out = EncodedSide::default();
    group.bench_function(BenchmarkId::new("8 columns", BATCH), |bencher| {
        bencher.iter(|| {
            out.data.clear();
            out.ends.clear();
            out.nulls.clear();
            encoder.encode(columns, BATCH, None, &mut out).expect("the rows can be written");
            out.data.len()
        });
    });
    group.finish();
}

fn formats(criterion: &mut Criterion<CpuTime>) {
    let records = json_records();
    let json = side(FormatName::Json);
    let columns = decode_all(&json, &[0, 1, 2, 3, 4, 5, 6, 7], &records);
    decode(criterion, FormatName::Json, &records);
    encode(criterion, FormatName::Json, &columns);

    let lines = encode_all(&side(FormatName::Delimited), &columns);
    let lines: Vec<Vec<u8>> = (0..BATCH).map(|row| lines.get(row).unwrap_or_default().to_vec()).collect();
    decode(criterion, FormatName::Delimited, &lines);
    encode(criterion, FormatName::Delimited, &columns);
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(CpuTime).sample_size(20);
    targets = formats
}
criterion_main!(benches);
