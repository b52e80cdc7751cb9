/// A borrowed view of the rows that a filter lets pass: one bit for each row, `row & 63` of word `row >> 6`.
///
/// Rows behind the last word do not pass. The owner keeps the words alive, and does not change them while searches run.
package struct AllowedRows: @unchecked Sendable {
    // Sendable: read-only, and the words are never written while the view is lent.
    private let words: UnsafePointer<UInt64>
    private let wordCount: Int

    package init(words: UnsafePointer<UInt64>, wordCount: Int) {
        self.words = words
        self.wordCount = wordCount
    }

    @inline(__always)
    package func contains(_ slot: Slot) -> Bool {
        let word = Int(slot >> 6)
        return word < wordCount && words[word] >> UInt64(slot & 63) & 1 != 0
    }
}
