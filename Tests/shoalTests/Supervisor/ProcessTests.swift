import Foundation
import Glibc
import Testing
import shoal

@Suite struct ProcessTests {
    @Test func thisProcessRunsAndAnEarlierOneOfItsPidDoesNot() throws {
        let own = try #require(ProcessIdentity(of: getpid()))
        #expect(own.isRunning)
        var earlier = own
        earlier.startTicks -= 1
        #expect(!earlier.isRunning)
        var beforeTheReboot = own
        beforeTheReboot.bootID = "another"
        #expect(!beforeTheReboot.isRunning)
    }

    @Test func aPidThatNobodyHasIsNoProcess() {
        // Above the kernel's largest pid, 2^22.
        #expect(ProcessIdentity(of: 1 << 30) == nil)
    }

    @Test func aLockIsHeldUntilItsOwnerLetsGo() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "shoal-lock-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.appending(path: "lock").path()
        #expect(!FileLock.isHeld(path: path))
        var lock = try FileLock(path: path)
        #expect(lock != nil)
        #expect(FileLock.isHeld(path: path))
        #expect(try FileLock(path: path) == nil)
        lock = nil
        #expect(!FileLock.isHeld(path: path))
    }

    @Test func aFolderIsAbsoluteWhateverItWasCalled() {
        let here = FileManager.default.currentDirectoryPath
        #expect(ClusterFolder("data").root == "\(here)/data")
        #expect(ClusterFolder("./data/").root == "\(here)/data")
        #expect(ClusterFolder("/a b/c/../d").root == "/a b/d")
    }
}
