import DataModel
import Glibc
import Synchronization

/// When the leases run out: a small file that all processes of the machine map, so that keeping a lease alive is one
/// atomic store, without a lock or a write to the disk.
///
/// ```
/// 0     boot id, 36 bytes: times of an earlier boot mean nothing
/// 4096  slots of 64 bytes: lease id (0: free), time at which it runs out (nanoseconds of CLOCK_BOOTTIME; 0: it has)
/// ```
/// Slots are given and taken back within write transactions of the environment beside it; times are changed at any
/// moment. A time that has passed is never changed but to 0, so a lease that ran out stays so.
final class LeaseTimes: @unchecked Sendable {
    // Sendable: the mapping lives as long as the object, and its words are accessed as atomics, or under the write lock
    // of the environment during `init`.
    private let base: UnsafeMutableRawPointer

    /// Each node process holds one lease; tests a few more.
    static let slotCount = 1_024
    private static let slotBytes = 64
    private static let headerBytes = 4_096
    private static let fileBytes = headerBytes + slotCount * slotBytes

    /// Maps the file, making it when it is missing, and clears it when it is of an earlier boot.
    ///
    /// - Precondition: the caller holds the environment's write lock.
    /// - Throws: `unavailable`.
    init(path: String) throws(ControlStoreError) {
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw .system("open \(path)") }
        defer { Glibc.close(descriptor) }
        // Room on the disk is taken at once: a store into a hole of a full disk would be a bus error.
        let code = posix_fallocate(descriptor, 0, off_t(Self.fileBytes))
        guard code == 0 else { throw .unavailable(reason: "grow \(path): \(String(cString: strerror(code)))") }
        let mapped = mmap(nil, Self.fileBytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0)
        guard let mapped, mapped != MAP_FAILED else { throw .system("map \(path)") }
        base = mapped
        let boot = try Self.bootID()
        let same = UnsafeRawBufferPointer(start: mapped, count: boot.count).elementsEqual(boot)
        if !same {
            memset(mapped, 0, Self.fileBytes)
            UnsafeMutableRawBufferPointer(start: mapped, count: boot.count).copyBytes(from: boot)
        }
    }

    deinit { munmap(base, Self.fileBytes) }

    private static func bootID() throws(ControlStoreError) -> [UInt8] {
        let path = "/proc/sys/kernel/random/boot_id"
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .system("open \(path)") }
        defer { Glibc.close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 36)
        let count = bytes.withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress, $0.count) }
        guard count == 36 else { throw .system("read \(path)") }
        return bytes
    }

    /// Nanoseconds since the machine started, time asleep included: the same in all processes.
    static func now() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_BOOTTIME, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    private func word(_ slot: Int, _ index: Int) -> UnsafeMutablePointer<Atomic<UInt64>>? {
        guard (0..<Self.slotCount).contains(slot) else { return nil }
        return (base + Self.headerBytes + slot * Self.slotBytes + index * 8)
            .assumingMemoryBound(to: Atomic<UInt64>.self)
    }

    /// Gives the slot to a lease. Within a write transaction only.
    func assign(_ slot: Int, to lease: LeaseID, until time: UInt64) {
        word(slot, 0)?.pointee.store(0, ordering: .sequentiallyConsistent)
        word(slot, 1)?.pointee.store(time, ordering: .sequentiallyConsistent)
        word(slot, 0)?.pointee.store(lease.rawValue, ordering: .sequentiallyConsistent)
    }

    /// Whether the lease's time has not passed.
    func isAlive(_ lease: LeaseID, slot: Int, now: UInt64) -> Bool {
        guard let owner = word(slot, 0), owner.pointee.load(ordering: .acquiring) == lease.rawValue else {
            return false
        }
        return (word(slot, 1)?.pointee.load(ordering: .acquiring) ?? 0) > now
    }

    /// Moves the lease's time to `time`; false when it has passed already, or the slot is another lease's.
    func extend(_ lease: LeaseID, slot: Int, to time: UInt64, now: UInt64) -> Bool {
        while isAlive(lease, slot: slot, now: now) {
            guard let word = word(slot, 1) else { return false }
            let old = word.pointee.load(ordering: .acquiring)
            guard old > now else { return false }
            if old >= time { return true }
            let (exchanged, _) = word.pointee.compareExchange(
                expected: old, desired: time, ordering: .acquiringAndReleasing)
            if exchanged { return true }
        }
        return false
    }

    /// Ends the lease if its time has passed: from then on `extend` fails. False when it was extended in time.
    func endIfPast(_ lease: LeaseID, slot: Int, now: UInt64) -> Bool {
        guard let owner = word(slot, 0), owner.pointee.load(ordering: .acquiring) == lease.rawValue,
            let word = word(slot, 1)
        else { return true }
        let old = word.pointee.load(ordering: .acquiring)
        if old > now { return false }
        return word.pointee.compareExchange(expected: old, desired: 0, ordering: .acquiringAndReleasing).exchanged
    }

    /// Ends the lease, whatever its time.
    func end(_ lease: LeaseID, slot: Int) {
        guard word(slot, 0)?.pointee.load(ordering: .acquiring) == lease.rawValue else { return }
        word(slot, 1)?.pointee.store(0, ordering: .releasing)
    }
}
