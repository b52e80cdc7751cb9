internal import Foundation

// A peer of `compare.py`: loads the data, then answers one command a line with one line of JSON.
//
//   build <m> <efConstruct>     inserts all rows with one thread
//   search <ef>                 answers all queries, k = 10, with one thread
//
// With `filters` it answers these instead, for `Benchmarks/filters/measure.py`:
//
//   build <m> <efConstruct>                       writes all rows with two numbers each, and indexes the numbers
//   filter <permille> random|near|far <queries>   as described at `FilterSubject.Place`

@main
enum IndexBenchmark {
    static func main() async throws {
        let arguments = CommandLine.arguments
        guard arguments.count == 3, ["heap", "mapped", "shard", "filters"].contains(arguments[2]) else {
            FileHandle.standardError.write(Data("usage: index-benchmark <data folder> heap|mapped|shard|filters\n".utf8))
            exit(2)
        }
        let dataset = try Dataset(folder: arguments[1])
        if arguments[2] == "filters" {
            var subject = FilterSubject(dataset: dataset)
            defer { subject.removeFiles() }
            try await subject.answerCommands()
        } else if arguments[2] == "heap" {
            try await answer(HeapSubject(dataset: dataset), queries: dataset.queryCount, rows: dataset.count)
        } else {
            let subject = ShardSubject(dataset: dataset, isWhole: arguments[2] == "shard")
            defer { subject.removeFiles() }
            try await answer(subject, queries: dataset.queryCount, rows: dataset.count)
        }
    }

    private static func answer(_ subject: some Subject, queries: Int, rows: Int) async throws {
        var subject = subject
        reply(#"{"ready": true}"#)
        while let line = readLine() {
            let words = line.split(separator: " ").map(String.init)
            let numbers = words.dropFirst().compactMap(Int.init)
            switch (words.first, numbers.count) {
            case ("build", 2):
                let seconds = try await subject.build(m: numbers[0], efConstruct: numbers[1])
                reply(#"{"inserts_per_second": \#(Double(rows) / seconds)}"#)
            case ("search", 1):
                let outcome = try await subject.search(ef: numbers[0])
                reply(
                    #"{"queries_per_second": \#(Double(queries) / outcome.seconds), "recall": \#(outcome.recall)}"#)
            default:
                reply(#"{"error": "unknown command"}"#)
            }
        }
    }

    private static func reply(_ line: String) {
        print(line)
        fflush(nil)
    }
}
