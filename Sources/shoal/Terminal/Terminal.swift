import Glibc

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// Standard output and error: results go to the one, notes and errors to the other.
enum Terminal {
    static var errorIsTerminal: Bool { isatty(STDERR_FILENO) == 1 }

    /// A line of the result.
    static func print(_ line: String) { write(line + "\n", to: STDOUT_FILENO) }

    /// Text of the result that brings its own newlines.
    static func write(_ text: String) { write(text, to: STDOUT_FILENO) }

    static func note(_ line: String) { write(line + "\n", to: STDERR_FILENO) }

    static func error(_ message: String) { write("shoal: \(message)\n", to: STDERR_FILENO) }

    /// Draws over the line that was drawn before; `\u{1B}[K` clears what is left of a longer one.
    static func redraw(_ line: String) {
        // A line that wraps could not be drawn over.
        write("\r\(line.prefix(errorColumns - 1))\u{1B}[K", to: STDERR_FILENO)
    }

    private static var errorColumns: Int {
        var size = winsize()
        let isKnown = ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0
        return isKnown ? Int(size.ws_col) : 80
    }

    /// Runs `body`, and meanwhile shows on a terminal what is going on and for how long.
    static func withElapsedTime<Value: Sendable>(
        _ label: String, _ body: @escaping @Sendable () async throws -> Value
    ) async throws -> Value {
        guard errorIsTerminal else { return try await body() }
        let start = ContinuousClock.now
        let clock = Task {
            while !Task.isCancelled {
                redraw("\(label) ... \((ContinuousClock.now - start).components.seconds) s")
                try? await Task.sleep(for: .seconds(1))
            }
        }
        let result: Result<Value, any Error>
        do { result = .success(try await body()) } catch { result = .failure(error) }
        clock.cancel()
        await clock.value
        redraw("")
        return try result.get()
    }

    static func json(_ value: some Encodable) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        write(String(decoding: try encoder.encode(value), as: UTF8.self) + "\n")
    }

    /// A reader that went away is no reason to fail: what is left is dropped.
    private static func write(_ text: String, to descriptor: Int32) {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let written = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if written < 0 {
                if errno == EINTR { continue }
                return
            }
            bytes = bytes.dropFirst(written)
        }
    }
}
