internal import Foundation
internal import Shard

// A peer of the scripts beside it: loads the data, then answers one command a line with one line of JSON.
//
//   build <m> <efConstruct>     inserts all rows, with as many threads as the arguments say
//   search <ef>                 answers all queries, k = 10, with one thread
//
// A shard takes these commands too; one in a folder that the arguments name stays there.
//
//   walk <ef>                   answers all queries by the graph alone, over mapped blocks
//   open <m> <efConstruct>      opens the shard that an earlier process left, and answers the first query
//   delete <permille> <seed>    deletes points at random
//   update <seed>               writes each point that is left once more
//   compact                     rewrites the shard without its dead rows
//   state                       its rows and its bytes on disk
//
// With `filters` it answers these instead, for `Benchmarks/filters/measure.py`:
//
//   build <m> <efConstruct>                       writes all rows with two numbers each, and indexes the numbers
//   filter <permille> random|near|far <queries>   as described at `FilterSubject.Place`

@main
enum IndexBenchmark {
    private static let usage = """
        usage: index-benchmark <data folder> heap|shard [<threads> [<shard folder>]]
               index-benchmark <data folder> open <threads> <shard folder>
               index-benchmark <data folder> filters

        """

    static func main() async throws {
        let arguments = CommandLine.arguments
        guard (3...5).contains(arguments.count), ["heap", "shard", "open", "filters"].contains(arguments[2]),
            let threads = arguments.count > 3 ? Int(arguments[3]) : 1, threads > 0,
            arguments[2] != "open" || arguments.count == 5
        else {
            FileHandle.standardError.write(Data(usage.utf8))
            exit(2)
        }
        let dataset = try Dataset(folder: arguments[1], loadsBase: arguments[2] != "open")
        if arguments[2] == "filters" {
            var subject = FilterSubject(dataset: dataset)
            defer { subject.removeFiles() }
            try await subject.answerCommands()
        } else if arguments[2] == "heap" {
            try await answerCommands(HeapSubject(dataset: dataset, threads: threads), dataset)
        } else {
            let folder = arguments.count == 5 ? arguments[4] : ShardSubject.temporaryFolder
            defer { try? FileManager.default.removeItem(atPath: ShardSubject.temporaryFolder) }
            try await answerCommands(ShardSubject(dataset: dataset, threads: threads, folder: folder), dataset)
        }
    }
}
