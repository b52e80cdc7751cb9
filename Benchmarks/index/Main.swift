internal import Foundation
internal import VectorIndex

// A peer of `compare.py`: loads the data, then answers one command a line with one line of JSON.
//
//   build <m> <efConstruct>     inserts all rows with one thread
//   search <ef>                 answers all queries, k = 10, with one thread
//   scan                        answers all queries exactly

@main
enum IndexBenchmark {
    static func main() throws {
        guard CommandLine.arguments.count == 2 else {
            FileHandle.standardError.write(Data("usage: index-benchmark <data folder>\n".utf8))
            exit(2)
        }
        let dataset = try Dataset(folder: CommandLine.arguments[1])
        var subject = try Subject(dataset: dataset, m: 16, efConstruct: 128)
        print(#"{"ready": true}"#)
        fflush(nil)
        while let line = readLine() {
            let words = line.split(separator: " ").map(String.init)
            let numbers = words.dropFirst().compactMap(Int.init)
            switch (words.first, numbers.count) {
            case ("build", 2):
                subject = try Subject(dataset: dataset, m: numbers[0], efConstruct: numbers[1])
                let seconds = subject.build()
                print(#"{"inserts_per_second": \#(Double(dataset.count) / seconds)}"#)
            case ("search", 1): report(subject.search(ef: numbers[0]), queries: dataset.queryCount)
            case ("scan", 0): report(subject.scan(), queries: dataset.queryCount)
            default: print(#"{"error": "unknown command"}"#)
            }
            fflush(nil)
        }
    }

    private static func report(_ outcome: Subject.Outcome, queries: Int) {
        print(
            #"{"queries_per_second": \#(Double(queries) / outcome.seconds), "recall": \#(outcome.recall)}"#)
    }
}
