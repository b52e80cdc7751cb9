internal import CKernels
package import DataModel
internal import Synchronization

extension HNSWGraph {
    /// Claims the next row and inserts it; nil when all rows below `limit` are claimed.
    ///
    /// A row in `skipped` gets an empty record: nothing links to it, and no search meets it.
    ///
    /// - Parameter known: the links of rows in another graph of the same rows; those that it has are not searched for.
    /// - Precondition: the vectors of rows `0 ..< limit` are published.
    package func insertNext(
        below limit: UInt32, skipping skipped: DeletedRows = .none, known: LinkPage? = nil
    ) -> Slot? {
        precondition(Int(limit) <= nodes.maximumRows)
        guard let slot = gate.enter(below: limit) else { return nil }
        let codes = trainedCodes(below: limit)
        if skipped.contains(slot) {
            codes?.skip(slot)
            writeNode(slot, level: 0)
        } else {
            codes?.encode(slot)
            let comparison = codes.flatMap { $0.canBuild ? $0.comparison : nil } ?? rawComparison
            insert(slot, comparison: comparison, known: known)
        }
        gate.leave(slot)
        return slot
    }

    /// The row's level: at least `l` with probability `m^-l` (section 4.1), by a hash of its slot and the seed.
    ///
    /// In integers, so that every machine agrees.
    func level(of slot: Slot) -> Int {
        let bits = hash(of: slot)
        var level = 0
        var threshold = UInt64.max / UInt64(parameters.m)
        while bits < threshold, level < Self.highestLevel {
            level += 1
            threshold /= UInt64(parameters.m)
        }
        return level
    }

    /// SplitMix64 of the slot and the seed.
    private func hash(of slot: Slot) -> UInt64 { splitMix(parameters.seed, UInt64(slot)) }

    private func insert(_ slot: Slot, comparison: Comparison, known: LinkPage?) {
        let level = level(of: slot)
        writeNode(slot, level: level)
        if level == 0, let known, adopt(known, for: slot, comparison) { return }
        let entry = EntryPoint(rawValue: self.entry.load(ordering: .acquiring))
        if let entry, level <= entry.level {
            connect(slot, level: level, from: entry, comparison)
            return
        }
        // Rare: one row in m^level. One after the other, so that no two new top rows miss each other.
        promotion.withLock { _ in
            let entry = EntryPoint(rawValue: self.entry.load(ordering: .acquiring))
            if let entry { connect(slot, level: level, from: entry, comparison) }
            if entry.map({ level > $0.level }) ?? true {
                self.entry.store(EntryPoint(slot: slot, level: level).rawValue, ordering: .releasing)
            }
        }
    }

    private func writeNode(_ slot: Slot, level: Int) {
        var firstUpperRow: UInt32 = 0
        if level > 0 {
            firstUpperRow = upperRowCount.wrappingAdd(UInt32(level), ordering: .acquiringAndReleasing).oldValue
            precondition(Int(firstUpperRow) + level <= upperLinks.maximumRows)
        }
        let node = nodes.writableRow(slot)
        shoal_store_relaxed_u32(node + 4, firstUpperRow)
        shoal_store_release_u32(node, UInt32(level))
        // The rows' blocks must be there even if no neighbour is found.
        _ = levelZeroLinks.writableRow(slot)
        for upper in 0..<UInt32(level) { _ = upperLinks.writableRow(firstUpperRow + upper) }
    }

    /// Algorithm 1, INSERT, without the entry point: finds the row's neighbours in all its layers, then links them.
    ///
    /// The links back come last: nobody meets the row before its own lists are complete.
    private func connect(_ slot: Slot, level: Int, from entry: EntryPoint, _ comparison: Comparison) {
        let row = RowQuery(comparison)
        defer { row.destroy() }
        guard let query = row.load(slot) else { preconditionFailure("a row is inserted before its vector") }
        let bound = gate.claimed.load(ordering: .acquiring)
        let salt = UInt32(truncatingIfNeeded: hash(of: slot))
        let walk = LayerWalk(
            view: view, comparison: comparison, query: query, bound: bound,
            upperRows: upperRowCount.load(ordering: .acquiring), salt: salt)
        let top = min(level, entry.level)
        let capacity = view.capacity(level: 0)
        var selection = NeighbourSelection(
            comparison: comparison, maximumCandidates: max(parameters.efConstruct, capacity + 1))
        let chosen = UnsafeMutablePointer<Slot>.allocate(capacity: (top + 1) * capacity)
        let counts = UnsafeMutablePointer<Int>.allocate(capacity: top + 1)
        defer {
            selection.destroy()
            chosen.deallocate()
            counts.deallocate()
        }
        scratches.withScratch(bound: bound) { scratch in
            let start = walk.meet(entry.slot, scratch: &scratch)
            var nearest = walk.descend(from: start, top: entry.level, bottom: top + 1, scratch: &scratch)
            for layer in (0...top).reversed() {
                // Layers have different links: what one has met the next may have to expand.
                scratch.clearVisited()
                nearest = walk.meet(nearest.slot(salt: salt), scratch: &scratch)
                walk.searchLayer(layer, ef: parameters.efConstruct, filter: .all(bound: bound), scratch: &scratch)
                let count = selection.takeCandidates(from: &scratch.results, for: slot, salt: salt)
                if count > 0 { nearest = Candidate(key: selection.candidates[0]) }
                // Measured on 117,659 x 384: with the pruned ones recall@10 at ef 40 is 0.951 instead of 0.948 at the
                // same speed; keeping them in full lists too costs more time than it brings recall.
                counts[layer] = selection.select(
                    count, limit: parameters.m, keepsPruned: true, salt: salt, into: chosen + layer * capacity)
            }
        }
        // One that takes over links from another graph may know the row already.
        linkLocks.withLock(of: slot) {
            for layer in 0...top { write(chosen + layer * capacity, count: counts[layer], to: slot, level: layer) }
        }
        for layer in 0...top {
            for index in 0..<counts[layer] {
                addLink(from: chosen[layer * capacity + index], to: slot, level: layer, selection: &selection)
            }
        }
    }

    /// Replaces a row's links in a layer.
    func write(_ slots: UnsafePointer<Slot>, count: Int, to slot: Slot, level: Int) {
        guard let links = writableLinks(of: slot, level: level) else { return }
        for index in 0..<view.capacity(level: level) {
            shoal_store_release_u32(links + index * 4, index < count ? slots[index] + 1 : 0)
        }
    }

    private func writableLinks(of slot: Slot, level: Int) -> UnsafeMutableRawPointer? {
        if level == 0 { return levelZeroLinks.writableRow(slot) }
        guard let row = view.upperRow(of: slot, level: level), row < upperRowCount.load(ordering: .acquiring) else {
            return nil
        }
        return upperLinks.writableRow(row)
    }

    /// Adds a link to a row's list; when the list is full, chooses anew among its links and the new one.
    func addLink(from slot: Slot, to new: Slot, level: Int, selection: inout NeighbourSelection) {
        linkLocks.withLock(of: slot) {
            guard let links = writableLinks(of: slot, level: level) else { return }
            let capacity = view.capacity(level: level)
            let bound = gate.claimed.load(ordering: .acquiring)
            withUnsafeTemporaryAllocation(of: Slot.self, capacity: capacity + 1) { buffer in
                guard let slots = buffer.baseAddress else { return }
                var count = 0
                for index in 0..<capacity {
                    let word = shoal_load_relaxed_u32(links + index * 4)
                    if word == 0 {
                        shoal_store_release_u32(links + index * 4, new + 1)
                        return
                    }
                    if word == new + 1 { return }
                    if word - 1 < bound {
                        slots[count] = word - 1
                        count += 1
                    }
                }
                slots[count] = new
                count += 1
                let salt = UInt32(truncatingIfNeeded: hash(of: new) ^ hash(of: slot))
                selection.sortCandidates(slots, count: count, around: slot, salt: salt)
                let kept = selection.select(count, limit: capacity, keepsPruned: false, salt: salt, into: slots)
                write(slots, count: kept, to: slot, level: level)
            }
        }
    }
}
