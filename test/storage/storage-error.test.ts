/** What is advised fits what the system said: who may not read a file is not helped by room on the disk. */
import { assert, describe, it } from "@effect/vitest"
import { BackupIoError } from "../../src/storage/backup/BackupReader.ts"
import { openError } from "../../src/storage/rocksdb/OpenFailure.ts"
import { StorageIoError } from "../../src/storage/StorageError.ts"

const said: ReadonlyArray<readonly [cause: string, advice: RegExp]> = [
  ["EACCES: permission denied, scandir '/srv/node-1'", /to the user that this runs as \(chown -R\)/],
  ["While open a file for lock: /srv/node-1/LOCK: Permission denied", /to the user that this runs as \(chown -R\)/],
  ["While renaming a file to /srv/node-1/LOG.old.1: Read-only file system", /mount the file system writable/],
  ["While appending to file: /srv/node-1/000012.sst: No space left on device", /make room on the disk/],
  ["EDQUOT: quota exceeded, write", /make room on the disk/],
  ["While open a file for random read: /srv/node-1/000012.sst: Too many open files", /raise the limit on open files/],
  ["While pread: /srv/node-1/000012.sst: Input/output error", /check the disk \(space, health\)/]
]

describe("an error of the disk", () => {
  for (const [cause, advice] of said) {
    it(`advises what helps: ${cause}`, () => {
      const { message } = new StorageIoError({ operation: "write", path: "/srv/node-1", cause: new Error(cause) })
      assert.match(message, advice)
      assert.match(message, /\. To go on, .*, and start again\.$/)
      // Restore, drill, reclaim and inspect open a directory too, and no node runs then.
      assert.notInclude(message, "The node stops")
    })
  }
})

describe("an error of a backup's file", () => {
  for (
    const [cause, advice] of [
      ["ENOSPC: no space left on device, write", /; make room on the disk, or give it more$/],
      ["EROFS: read-only file system, open '/srv/b.flaredb.partial-1'", /; mount the file system writable/],
      ["EACCES: permission denied, open '/srv/b.flaredb'", /; run it as a user that may$/],
      ["ENOENT: no such file or directory, open '/srv/b.flaredb'", /open '\/srv\/b\.flaredb'$/]
    ] as const
  ) {
    it(`advises what helps, where that is known: ${cause}`, () => {
      const error = new BackupIoError({ operation: "write", path: "/srv/b.flaredb", cause: new Error(cause) })
      assert.match(error.message, advice)
    })
  }
})

describe("why RocksDB cannot open a directory", () => {
  const kindOf = (path: string, cause: string) => openError(path, new Error(cause))._tag

  for (
    const cause of [
      "While appending to file: /srv/node-1/MANIFEST-000009: No space left on device",
      "While open a file for appending: /srv/node-1/MANIFEST-000009: Too many open files",
      "While open a file for random read: /srv/node-1/CURRENT: Permission denied"
    ]
  ) {
    it(`is no damage when the system says it: ${cause}`, () =>
      assert.strictEqual(kindOf("/srv/node-1", cause), "StorageIoError"))
  }

  it("is not read out of the path", () => {
    const cause = "While pread: /srv/CURRENT/checksum/000012.sst: Input/output error"
    assert.strictEqual(kindOf("/srv/CURRENT/checksum", cause), "StorageIoError")
  })

  it("is damage when a file is, or is not there", () => {
    for (const cause of ["Corruption: block checksum mismatch", "/srv/node-1/000012.sst: No such file or directory"]) {
      assert.strictEqual(kindOf("/srv/node-1", cause), "StorageCorruption")
    }
  })
})
