internal import Foundation

/// Reads commands until the input ends; each answer is a line with a JSON object.
func answerCommands(_ subject: some Subject, _ dataset: Dataset) async throws {
    var subject = subject
    reply(["ready": 1])
    while let line = readLine() {
        let words = line.split(separator: " ").map(String.init)
        let numbers = words.dropFirst().compactMap(Int.init)
        switch (words.first, numbers.count) {
        case ("build", 2):
            let cost = try await subject.build(m: numbers[0], efConstruct: numbers[1])
            reply([
                "inserts_per_second": Double(dataset.count) / cost.processorSeconds,
                "inserts_per_wall_second": Double(dataset.count) / cost.wallSeconds,
            ])
        case ("search", 1):
            reply(try await subject.search(ef: numbers[0]).fields(dataset))
        case (let command?, _):
            guard let answer = try await subject.answer(command, numbers) else { fallthrough }
            reply(answer)
        default: print(#"{"error": "unknown command"}"#)
        }
        fflush(nil)
    }
    await subject.close()
}

extension Outcome {
    /// As an answer shows it.
    func fields(_ dataset: Dataset) -> [String: Double] {
        let queries = Double(dataset.queryCount)
        return [
            "recall": recall, "queries_per_second": queries / cost.processorSeconds,
            "queries_per_wall_second": queries / cost.wallSeconds,
        ]
    }
}

private func reply(_ answer: [String: Double]) {
    let fields = answer.sorted { $0.key < $1.key }.map { "\"\($0.key)\": \($0.value)" }
    print("{\(fields.joined(separator: ", "))}")
    fflush(nil)
}
