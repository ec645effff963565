//! Rule sets: from file texts to decisions. It reads no files and computes no aggregate.
