//! The memory of a value.

use std::collections::{BTreeMap, HashMap};
use std::mem::size_of;
use std::sync::Arc;

/// The heap memory of a value, by which the cache stays within `cache_bytes`.
///
/// It is implemented for the usual types of the standard library. Implement it for the types that
/// you cache:
///
/// ```
/// use fusepool::cache::Weigh;
///
/// #[derive(Clone)]
/// struct Dish {
///     id: i64,
///     name: String,
/// }
///
/// impl Weigh for Dish {
///     fn heap_bytes(&self) -> usize {
///         self.name.heap_bytes()
///     }
/// }
/// ```
pub trait Weigh {
    /// The heap memory that the value refers to, in bytes, without the value itself.
    fn heap_bytes(&self) -> usize;
}

macro_rules! without_heap {
    ($($type:ty),*) => {
        $(impl Weigh for $type {
            fn heap_bytes(&self) -> usize {
                0
            }
        })*
    };
}

without_heap!((), bool, char, u8, u16, u32, u64, u128, usize);
without_heap!(i8, i16, i32, i64, i128, isize, f32, f64);
without_heap!(std::time::Duration, std::time::SystemTime, std::net::IpAddr);

impl Weigh for String {
    fn heap_bytes(&self) -> usize {
        self.capacity()
    }
}

impl Weigh for str {
    fn heap_bytes(&self) -> usize {
        0
    }
}

impl<T: Weigh> Weigh for [T] {
    fn heap_bytes(&self) -> usize {
        self.iter().map(T::heap_bytes).sum()
    }
}

impl<T: Weigh> Weigh for Vec<T> {
    fn heap_bytes(&self) -> usize {
        self.capacity() * size_of::<T>() + self.as_slice().heap_bytes()
    }
}

impl<T: Weigh> Weigh for Option<T> {
    fn heap_bytes(&self) -> usize {
        self.as_ref().map_or(0, T::heap_bytes)
    }
}

impl<T: Weigh + ?Sized> Weigh for Box<T> {
    fn heap_bytes(&self) -> usize {
        size_of_val(&**self) + (**self).heap_bytes()
    }
}

impl<T: Weigh + ?Sized> Weigh for Arc<T> {
    fn heap_bytes(&self) -> usize {
        2 * size_of::<usize>() + size_of_val(&**self) + (**self).heap_bytes()
    }
}

impl<K: Weigh, V: Weigh, S> Weigh for HashMap<K, V, S> {
    fn heap_bytes(&self) -> usize {
        let entries = self
            .iter()
            .map(|(key, value)| key.heap_bytes() + value.heap_bytes());
        self.capacity() * (size_of::<(K, V)>() + 1) + entries.sum::<usize>()
    }
}

impl<K: Weigh, V: Weigh> Weigh for BTreeMap<K, V> {
    fn heap_bytes(&self) -> usize {
        let entries = self
            .iter()
            .map(|(key, value)| key.heap_bytes() + value.heap_bytes());
        self.len() * 2 * size_of::<(K, V)>() + entries.sum::<usize>()
    }
}

impl<A: Weigh, B: Weigh> Weigh for (A, B) {
    fn heap_bytes(&self) -> usize {
        self.0.heap_bytes() + self.1.heap_bytes()
    }
}

impl<A: Weigh, B: Weigh, C: Weigh> Weigh for (A, B, C) {
    fn heap_bytes(&self) -> usize {
        self.0.heap_bytes() + self.1.heap_bytes() + self.2.heap_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_heap_memory_is_counted() {
        let names = vec![String::with_capacity(100), String::with_capacity(50)];
        assert_eq!(names.heap_bytes(), 2 * size_of::<String>() + 150);
        assert_eq!(Arc::new(7_u64).heap_bytes(), 24);
        assert_eq!(Some(Box::<str>::from("soup")).heap_bytes(), 4);
        assert_eq!((1_u8, String::with_capacity(9)).heap_bytes(), 9);
    }
}
