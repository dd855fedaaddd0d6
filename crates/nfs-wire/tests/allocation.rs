//! Nothing that a peer sends makes the decoder take memory out of proportion.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]
#![expect(unsafe_code, reason = "counting allocations takes an allocator")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use nfs_wire::nfs4::Compound4Args;
use nfs_wire::operations::ROWS;
use nfs_wire::rpc::Call;
use nfs_wire::{ArgOp, Decoder, ResOp, Xdr};

struct Counting;

thread_local! {
    static TAKEN: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is handed to the system's allocator as it is; counting neither allocates nor touches the memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = TAKEN.try_with(|taken| taken.set(taken.get() + layout.size()));
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn bytes_taken(work: impl FnOnce()) -> usize {
    let before = TAKEN.get();
    work();
    TAKEN.get() - before
}

/// RFC 8881 §16.2: whatever a compound claims, decoding it takes less than a small multiple of its length.
#[test]
fn memory_is_bounded_by_the_input() {
    // A word that claims much, at each place of otherwise empty arguments, for each operation.
    let numbers = ROWS.iter().map(|row| row.0);
    for number in numbers {
        for place in 0..24_usize {
            for claim in [u32::MAX, 1 << 30, 65_536, 1025, 300, 17] {
                let mut words = vec![0_u32; 24];
                words[place] = claim;
                let body = std::iter::once(number).chain(words);
                let record: Vec<u8> = body.flat_map(u32::to_be_bytes).collect();
                let length = record.len();
                let bytes = bytes::Bytes::from(record);
                let taken = bytes_taken(|| {
                    let _ = ArgOp::decode_next(&mut Decoder::new(bytes.clone()));
                    let _ = ResOp::decode(&mut Decoder::new(bytes.clone()));
                    let _ = Call::decode(&mut Decoder::new(bytes.clone()));
                });
                assert!(taken <= 40 * length, "operation {number}, word {place}, {claim}: {taken} bytes");
            }
        }
    }
}

/// RFC 8881 §16.2: a record full of the shortest operations takes a bounded amount, not one in proportion to its count.
#[test]
fn a_record_of_a_million_operations_takes_little() {
    let mut words = vec![0_u32, 1, 262_000];
    words.extend(std::iter::repeat_n(24, 262_000));
    let record: Vec<u8> = words.into_iter().flat_map(u32::to_be_bytes).collect();
    let bytes = bytes::Bytes::from(record);
    let taken = bytes_taken(|| {
        Compound4Args::decode_rest(Decoder::new(bytes.clone())).unwrap();
    });
    assert!(taken < 128 * 1024, "{taken} bytes");
}

/// The size of an operation multiplies what a compound takes.
#[test]
fn operations_are_small() {
    assert!(size_of::<ArgOp>() <= 320, "{}", size_of::<ArgOp>());
    assert!(size_of::<ResOp>() <= 320, "{}", size_of::<ResOp>());
}
