import Coordinator
import DataModel
import Testing

struct MemoryLedgerTests {
    @Test func whatIsTakenNeverExceedsTheCapacityAndAllIsServedInTheEnd() {
        // Requests that arrive, go on, and end, in random order.
        struct Request {
            var body: Int
            var held = 0
            var phase = 0
            var waits = false
        }
        for seed: UInt64 in 1...200 {
            var random = SeededGenerator(seed: seed)
            var ledger = MemoryLedger(capacity: 1_600)
            var requests = (0..<40).map { _ in Request(body: Int.random(in: 1...100, using: &random)) }
            func served(_ tickets: [MemoryLedger.Ticket]) {
                for ticket in tickets {
                    let index = Int(ticket)
                    requests[index].held += requests[index].phase == 0 ? requests[index].body : requests[index].body * 12
                    requests[index].phase += 1
                    requests[index].waits = false
                    if requests[index].phase == 2 { served(ledger.goOn(requests[index].body)) }
                }
            }
            var steps = 0
            while let index = requests.indices.filter({ requests[$0].phase < 3 && !requests[$0].waits }).randomElement(using: &random) {
                steps += 1
                let body = requests[index].body
                switch requests[index].phase {
                case 2:
                    let held = requests[index].held
                    requests[index].phase = 3
                    served(ledger.give(held))
                default:
                    let (bytes, purpose): (Int, MemoryLedger.Purpose) =
                        requests[index].phase == 0 ? (body, .arrival) : (body * 12, .progress)
                    if ledger.take(bytes, for: purpose) {
                        served([MemoryLedger.Ticket(index)])
                    } else {
                        requests[index].waits = true
                        ledger.wait(MemoryLedger.Ticket(index), for: bytes, purpose)
                    }
                }
                #expect(ledger.taken <= ledger.capacity && ledger.arrived <= ledger.largestArrivals, "seed \(seed)")
            }
            #expect(requests.allSatisfy { $0.phase == 3 }, "seed \(seed): after \(steps) steps some wait for ever")
            #expect(ledger.taken == 0 && ledger.arrived == 0 && ledger.waiting == 0, "seed \(seed)")
        }
    }

    @Test func whoCameFirstIsServedFirstAndWhoGoesOnBeforeWhoArrives() {
        var ledger = MemoryLedger(capacity: 100)
        let isTaken = ledger.take(100, for: .progress)
        ledger.wait(1, for: 25, .arrival)
        ledger.wait(2, for: 90, .progress)
        ledger.wait(3, for: 5, .progress)
        let early = ledger.give(80)
        let overtakes = ledger.take(1, for: .arrival)
        let late = ledger.give(20)
        let last = ledger.give(90)
        #expect(isTaken && early == [], "a smaller one does not overtake")
        #expect(!overtakes && late == [2, 3] && last == [1])
        #expect(ledger.arrived == 25)
    }

    @Test func whoGivesUpLetsTheNextOneThrough() {
        var ledger = MemoryLedger(capacity: 100)
        let isTaken = ledger.take(60, for: .progress)
        ledger.wait(1, for: 90, .progress)
        ledger.wait(2, for: 40, .progress)
        let first = ledger.giveUp(1)
        let second = ledger.giveUp(2)
        #expect(isTaken && first.wasWaiting && first.served == [2] && !second.wasWaiting)
    }
}

struct MemoryBudgetTests {
    @Test(.timeLimit(.minutes(1)))
    func everythingIsGivenBackWhateverHappens() async throws {
        let budget = MemoryBudget(bytes: 1 << 20)
        await withTaskGroup(of: Void.self) { group in
            for number in 0..<400 {
                group.addTask {
                    let memory = RequestMemory(budget)
                    let body = 1 + number * 997 % budget.largestBody
                    do {
                        try await memory.arrive(body, deadline: .after(.milliseconds(number % 7)))
                        try await memory.parse(body, deadline: .soon)
                        #expect(budget.taken <= budget.capacity)
                        if number % 3 == 0 { memory.parsed(body) }
                        if number % 5 == 0 { await Task.yield() }
                    } catch {}
                    if number % 2 == 0 { memory.end() }
                }
                if number % 100 == 50 { group.cancelAll() }
            }
        }
        #expect(budget.taken == 0)
    }

    @Test func aRequestThatFindsNoMemoryIsRefusedByName() async throws {
        let budget = MemoryBudget(bytes: 1 << 20)
        let first = RequestMemory(budget)
        try await first.arrive(budget.largestBody, deadline: .soon)
        try await first.parse(budget.largestBody, deadline: .soon)
        let second = RequestMemory(budget)
        try await second.arrive(budget.largestBody, deadline: .soon)
        await #expect {
            try await second.parse(budget.largestBody, deadline: .after(.milliseconds(20)))
        } throws: { error in
            guard case .overloaded(let reason)? = error as? DatabaseError else { return false }
            return reason.contains("http.maxMemory") && reason.contains("\(budget.capacity)")
        }
        first.end()
        try await second.parse(budget.largestBody, deadline: .soon)
        second.end()
        #expect(budget.taken == 0)
    }
}
