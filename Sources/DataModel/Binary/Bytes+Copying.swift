extension [UInt8] {
    /// A copy of memory that is only lent.
    ///
    /// Used instead of `Array(buffer)` and `Array(buffer[...])`, and never inlined: where a loop does not use the array in
    /// every round, the optimiser (Swift 6.3.1) moves its allocation out of the loop, and the second round writes into what
    /// the first one freed.
    @inline(never)
    package init(copying bytes: UnsafeRawBufferPointer) {
        self.init(unsafeUninitializedCapacity: bytes.count) { buffer, initialized in
            UnsafeMutableRawBufferPointer(buffer).copyMemory(from: bytes)
            initialized = bytes.count
        }
    }
}
