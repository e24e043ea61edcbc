/** What is advised fits what the system said: who may not read a file is not helped by room on the disk. */
import { assert, describe, it } from "@effect/vitest"
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
      const failed = (operation: string) =>
        new StorageIoError({ operation, path: "/srv/node-1", cause: new Error(cause) }).message
      assert.match(failed("write"), advice)
      assert.match(failed("write"), /\. The node stops; .*, then start it again\.$/)
      // Commands open a directory too, and no node runs then.
      assert.match(failed("open"), advice)
      assert.notInclude(failed("open"), "The node stops")
    })
  }
})
