/** What is advised fits what the system said: who may not read a file is not helped by room on the disk. */
import { assert, describe, it } from "@effect/vitest"
import { BackupIoError } from "../../src/storage/backup/BackupReader.ts"
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
