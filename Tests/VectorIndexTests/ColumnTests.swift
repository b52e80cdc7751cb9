import Testing
import VectorIndex

@Suite struct ColumnTests {
    private func value(_ column: Column, _ row: UInt32) -> UInt64? { column.row(row)?.load(as: UInt64.self) }

    private func write(_ value: UInt64, to row: UInt32, of column: Column) {
        column.writableRow(row).storeBytes(of: value, as: UInt64.self)
    }

    /// Memory that stands for a mapped block.
    private func mapped(_ column: Column, filledWith value: UInt64) -> UnsafeMutableRawPointer {
        let block = UnsafeMutableRawPointer.allocate(byteCount: column.blockBytes, alignment: 64)
        block.initializeMemory(as: UInt64.self, repeating: value, count: column.blockBytes / 8)
        return block
    }

    @Test func rowsThatWereNeverWrittenAreMissingOrZero() throws {
        let column = try Column(rowBytes: 8, maximumRows: 1_000)
        #expect(column.row(0) == nil)
        write(5, to: 300, of: column)
        #expect(value(column, 300) == 5)
        #expect(value(column, 256) == 0)
        #expect(column.row(255) == nil)
        #expect(value(column, 999) == nil)
    }

    @Test func aColumnForBillionsOfRowsCostsOnlyAddressSpace() throws {
        let column = try Column(rowBytes: 8, maximumRows: Int(UInt32.max) - 1)
        write(7, to: UInt32.max - 2, of: column)
        #expect(value(column, UInt32.max - 2) == 7)
    }

    @Test func writersNeverTouchAMappedBlock() throws {
        let column = try Column(rowBytes: 8, maximumRows: 1_000)
        let block = mapped(column, filledWith: 1)
        defer { block.deallocate() }
        column.publish(block, asBlock: 1)
        #expect(column.block(1) == UnsafeRawPointer(block))
        write(2, to: 257, of: column)
        #expect(value(column, 257) == 2)
        #expect(value(column, 258) == 1, "the copy has the other rows")
        #expect(block.load(fromByteOffset: 8, as: UInt64.self) == 1)
        #expect(column.takeRetired() == nil, "the mapped block is not the column's to free")
    }

    @Test func aCheckpointSeesTheBlocksAsTheyWereFrozen() throws {
        let column = try Column(rowBytes: 8, maximumRows: 2_000)
        write(1, to: 0, of: column)
        write(1, to: 700, of: column)
        let frozen = column.freezeDirty()
        #expect(frozen.map(\.number) == [0, 2])
        #expect(column.freezeDirty().isEmpty)

        write(2, to: 0, of: column)
        #expect(frozen[0].pointer.load(as: UInt64.self) == 1)
        #expect(value(column, 0) == 2)
        #expect(column.takeRetired() == nil, "the checkpoint still reads the frozen block")

        let blocks = frozen.map { _ in mapped(column, filledWith: 1) }
        defer { for block in blocks { block.deallocate() } }
        #expect(!column.replace(frozen[0], with: blocks[0]), "block 0 was written again")
        #expect(column.replace(frozen[1], with: blocks[1]))
        #expect(value(column, 0) == 2)
        #expect(column.block(2) == UnsafeRawPointer(blocks[1]))
        #expect(column.takeRetired()?.count == 2)
        #expect(column.takeRetired() == nil)
        #expect(column.freezeDirty().map(\.number) == [0], "what was written since is the next checkpoint's")
    }

    @Test func retiredBlocksStayReadableUntilTheyAreReleased() throws {
        let column = try Column(rowBytes: 8, maximumRows: 256)
        write(11, to: 3, of: column)
        let reader = try #require(column.row(3))
        let frozen = column.freezeDirty()
        let block = mapped(column, filledWith: 12)
        defer { block.deallocate() }
        #expect(column.replace(frozen[0], with: block))
        let retired = column.takeRetired()
        #expect(reader.load(as: UInt64.self) == 11)
        #expect(value(column, 3) == 12)
        withExtendedLifetime(retired) {}
    }

    @Test func blocksOfAFailedCheckpointAreDirtyAgain() throws {
        let column = try Column(rowBytes: 8, maximumRows: 2_000)
        write(1, to: 0, of: column)
        write(1, to: 300, of: column)
        let frozen = column.freezeDirty()
        write(2, to: 0, of: column)
        column.thaw(frozen)
        #expect(column.takeRetired()?.count == 1, "block 0 has a newer copy")
        let pointer = column.block(1)
        write(3, to: 300, of: column)
        #expect(column.block(1) == pointer, "a thawed block is written in place")
        #expect(column.freezeDirty().map(\.number) == [0, 1])
    }

    @Test func publishingOverAHeapBlockRetiresIt() throws {
        let column = try Column(rowBytes: 8, maximumRows: 256)
        write(1, to: 0, of: column)
        let block = mapped(column, filledWith: 1)
        defer { block.deallocate() }
        column.publish(block, asBlock: 0)
        #expect(column.takeRetired()?.count == 1)
        #expect(column.freezeDirty().isEmpty)
    }
}
