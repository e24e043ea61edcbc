/** What the power-loss run takes for durable: it can only find what this takes away. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  unlinkSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, assert, beforeEach, describe, it } from "vitest"
import { Random } from "../simulation/Random.ts"
import { LinkShadow } from "./LinkShadow.ts"
import type { Call } from "./SystemCalls.ts"
import { readTrace } from "./SystemCalls.ts"
import { VolatileDisk } from "./VolatileDisk.ts"
import { VolatileFolders } from "./VolatileFolders.ts"

let folder: string
let directory: string
let shadow: LinkShadow | undefined

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "flaredb-disk-"))
  directory = join(folder, "data")
})

afterEach(() => {
  shadow?.close()
  shadow = undefined
  rmSync(folder, { recursive: true })
})

const start = (files: Readonly<Record<string, string>>): VolatileDisk => {
  rmSync(directory, { recursive: true, force: true })
  const made = mkdtempSync(join(folder, "made-"))
  renameSync(made, directory)
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text)
  return new VolatileDisk(directory)
}

/** Tells the disk of calls; `%` stands for the directory. */
const told = (disk: VolatileDisk, trace: string): void =>
  readTrace(trace.replaceAll("%", directory), {
    begin: (call) => disk.begin(call),
    end: (call) => disk.end(call),
    fail: (call) => disk.fail(call)
  })

const keep = (): LinkShadow => shadow = new LinkShadow(directory, () => undefined)

const contents = (): Record<string, string> =>
  Object.fromEntries(readdirSync(directory).sort().map((name) => [name, readFileSync(join(directory, name), "utf8")]))

describe("a loss of everything that was not synced", () => {
  it("cuts a file to what it had when its last sync began", () => {
    const disk = start({ "1.log": "" })
    told(
      disk,
      `7 write(20<%/1.log>, ""..., 5) = 5
8 fdatasync(20<%/1.log> <unfinished ...>
7 write(20<%/1.log>, ""..., 6) = 6
8 <... fdatasync resumed>)  = 0`
    )
    writeFileSync(join(directory, "1.log"), "first, later")
    disk.lose("all", keep(), new Random(1))
    assert.deepEqual(contents(), { "1.log": "first" })
  })

  it("takes no sync for done that failed or did not end", () => {
    const disk = start({ "1.log": "", "2.log": "" })
    told(
      disk,
      `7 write(20<%/1.log>, ""..., 5) = 5
7 fsync(20<%/1.log>) = -1 EIO (Input/output error)
7 write(21<%/2.log>, ""..., 5) = 5
7 fsync(21<%/2.log> <unfinished ...>`
    )
    for (const name of ["1.log", "2.log"]) writeFileSync(join(directory, name), "first")
    disk.lose("all", keep(), new Random(1))
    assert.deepEqual(contents(), { "1.log": "", "2.log": "" })
  })

  it("keeps nothing of what a sync that failed should have made durable, however often it is synced again", () => {
    const failed = `7 write(20<%/1.log>, ""..., 5) = 5
7 fdatasync(20<%/1.log>) = 0
7 write(20<%/1.log>, ""..., 6) = 6
7 fdatasync(20<%/1.log>) = -1 EIO (Input/output error) (INJECTED)
`
    const after = (next: string, more = ""): string | undefined => {
      const disk = start({ "1.log": "" })
      writeFileSync(join(directory, "1.log"), "first later")
      told(disk, failed)
      disk.outlive()
      writeFileSync(join(directory, "1.log"), `first later${more}`)
      told(disk, next)
      disk.lose("all", keep(), new Random(1))
      shadow?.close()
      return contents()["1.log"]
    }
    assert.equal(after(""), "first")
    assert.equal(after("9 fdatasync(21<%/1.log>) = 0"), "first")
    assert.equal(after(`9 write(21<%/1.log>, ""..., 5) = 5\n9 fsync(21<%/1.log>) = 0`, " last"), "first")
    assert.equal(after(`9 fdatasync(21<%/1.log> <unfinished ...>`), "first")
    // A file that is begun again has other pages.
    assert.equal(
      after(`9 openat(AT_FDCWD, "%/1.log", O_WRONLY|O_TRUNC) = 21
9 write(21<%/1.log>, ""..., 11) = 11\n9 fsync(21<%/1.log>) = 0`),
      "first later"
    )
  })

  it("loses a file whose name was not synced, however often the file was", () => {
    const disk = start({ old: "old" })
    told(
      disk,
      `7 openat(AT_FDCWD</>, "%/1.log", O_WRONLY|O_CREAT, 0644) = 20<%/1.log>
7 fsync(9<%>) = 0
7 openat(AT_FDCWD</>, "%/2.log", O_WRONLY|O_CREAT, 0644) = 21<%/2.log>
7 write(20<%/1.log>, ""..., 3) = 3
7 write(21<%/2.log>, ""..., 3) = 3
7 fdatasync(20<%/1.log>) = 0
7 fdatasync(21<%/2.log>) = 0`
    )
    for (const name of ["1.log", "2.log"]) writeFileSync(join(directory, name), "new")
    disk.lose("all", keep(), new Random(1))
    assert.deepEqual(contents(), { "1.log": "new", old: "old" })
  })

  it("undoes a rename over a file, and brings back what was removed", () => {
    const disk = start({ floor: "1", "1.log": "log" })
    const links = keep()
    writeFileSync(join(directory, "floor.next"), "2")
    renameSync(join(directory, "floor.next"), join(directory, "floor"))
    unlinkSync(join(directory, "1.log"))
    told(
      disk,
      `7 openat(AT_FDCWD</>, "%/floor.next", O_WRONLY|O_CREAT|O_TRUNC, 0644) = 20<%/floor.next>
7 write(20<%/floor.next>, ""..., 1) = 1
7 fsync(20<%/floor.next>) = 0
7 rename("%/floor.next", "%/floor") = 0
7 unlink("%/1.log") = 0
7 write(21<%/1.log>(deleted), ""..., 1) = 1`
    )
    disk.lose("all", links, new Random(1))
    assert.deepEqual(contents(), { floor: "1", "1.log": "log" })
    assert.isFalse(existsSync(`${directory}.image`))
  })

  it("takes what is left for durable the next time", () => {
    const disk = start({ "1.log": "" })
    told(disk, `7 write(20<%/1.log>, ""..., 5) = 5\n7 fsync(20<%/1.log>) = 0`)
    writeFileSync(join(directory, "1.log"), "first")
    disk.lose("all", keep(), new Random(1))
    assert.deepEqual(new VolatileDisk(directory).describe(), ["now: 1.log 5/5", "durable: 1.log 5/5"])
  })
})

describe("a loss of some of it", () => {
  it("keeps what was synced, whatever it draws, and now and then damages the rest", () => {
    const tails = new Set<string>()
    for (let seed = 0; seed < 60; seed++) {
      const disk = start({ "1.log": "" })
      told(
        disk,
        `7 write(20<%/1.log>, ""..., 5) = 5\n7 fsync(20<%/1.log>) = 0\n7 write(20<%/1.log>, ""..., 7) = 7`
      )
      writeFileSync(join(directory, "1.log"), "first, later")
      disk.lose("some", keep(), new Random(seed))
      shadow?.close()
      const { "1.log": text = "" } = contents()
      assert.equal(text.slice(0, 5), "first")
      tails.add(text.length === 12 ? text === "first, later" ? "whole" : "damaged" : "cut")
    }
    assert.deepEqual([...tails].sort(), ["cut", "damaged", "whole"])
  })
})

describe("a file that is lengthened before it is written", () => {
  const page = 4096
  const made = `7 openat(AT_FDCWD</>, "%/log", O_WRONLY|O_CREAT|O_EXCL, 0600) = 20<%/log>
7 ftruncate(20<%/log>, ${8 * page}) = 0
7 fsync(20<%/log>) = 0
7 fsync(9<%>) = 0
`
  /** Tells the disk of calls, and has the file hold what they wrote. */
  const written = (
    trace: string,
    length: number,
    ...parts: ReadonlyArray<readonly [at: number, bytes: Uint8Array]>
  ) => {
    const disk = start({})
    told(disk, trace)
    const bytes = Buffer.alloc(length)
    for (const [at, part] of parts) bytes.set(part, at)
    writeFileSync(join(directory, "log"), bytes)
    return disk
  }
  const left = (): Buffer => readFileSync(join(directory, "log"))
  const isAll = (part: Buffer, byte: number): boolean => part.equals(Buffer.alloc(part.byteLength, byte))

  it("has its length, and zeros behind what was synced", () => {
    const disk = written(
      `${made}7 pwrite64(20<%/log>, ""..., 5, 0) = 5
8 fdatasync(20<%/log> <unfinished ...>
7 pwrite64(20<%/log>, ""..., 6, 5) = 6
8 <... fdatasync resumed>)  = 0
7 pwrite64(20<%/log>, ""..., 100, 11 <unfinished ...>`,
      8 * page,
      [0, Buffer.from("first, laterunfinished")]
    )
    assert.deepEqual(disk.describe(), [
      `now: log 5/11 in ${8 * page}/${8 * page}`,
      `durable: log 5/11 in ${8 * page}/${8 * page}`
    ])
    disk.lose("all", keep(), new Random(1))
    const bytes = Buffer.alloc(8 * page)
    bytes.write("first")
    assert.isTrue(left().equals(bytes))
    assert.deepEqual(new VolatileDisk(directory).describe()[0], `now: log ${8 * page}/${8 * page}`)
  })

  it("is cut where its length was not synced, by `fdatasync` only to what was written", () => {
    const unsynced = `7 openat(AT_FDCWD</>, "%/log", O_WRONLY|O_CREAT, 0600) = 20<%/log>
7 fsync(20<%/log> <unfinished ...>
8 ftruncate(20<%/log>, ${8 * page}) = 0
7 <... fsync resumed>)  = 0
7 fsync(9<%>) = 0
7 pwrite64(20<%/log>, ""..., 5, 0) = 5
`
    written(unsynced, 8 * page, [0, Buffer.from("first")]).lose("all", keep(), new Random(1))
    assert.lengthOf(left(), 0)
    shadow?.close()
    const disk = written(`${unsynced}7 fdatasync(20<%/log>) = 0`, 8 * page, [0, Buffer.from("first")])
    disk.lose("all", keep(), new Random(1))
    assert.equal(left().toString(), "first")
  })

  it("is as long as before when it was cut, until that is synced", () => {
    const cut = `${made}7 pwrite64(20<%/log>, ""..., 5, 0) = 5
7 fdatasync(20<%/log>) = 0
7 ftruncate(20<%/log>, 5) = 0
`
    written(cut, 5, [0, Buffer.from("first")]).lose("all", keep(), new Random(1))
    assert.lengthOf(left(), 8 * page)
    assert.equal(left().toString("utf8", 0, 6), "first\0")
    shadow?.close()
    written(`${cut}7 fsync(20<%/log>) = 0`, 5, [0, Buffer.from("first")]).lose("all", keep(), new Random(1))
    assert.equal(left().toString(), "first")
    shadow?.close()
    const lengths = new Set<number>()
    for (let seed = 0; seed < 20; seed++) {
      written(cut, 5, [0, Buffer.from("first")]).lose("some", keep(), new Random(seed))
      shadow?.close()
      lengths.add(left().byteLength)
    }
    assert.sameMembers([...lengths], [5, 8 * page])
  })

  it("grows by what is written beyond its length", () => {
    const disk = written(
      `${made}7 pwrite64(20<%/log>, ""..., ${9 * page}, 0) = ${9 * page}`,
      9 * page,
      [0, Buffer.alloc(9 * page, "x")]
    )
    disk.lose("all", keep(), new Random(1))
    assert.lengthOf(left(), 8 * page)
    shadow?.close()
    written(
      `${made}7 pwrite64(20<%/log>, ""..., ${9 * page}, 0) = ${9 * page}\n7 fdatasync(20<%/log>) = 0`,
      9 * page,
      [0, Buffer.alloc(9 * page, "x")]
    ).lose("all", keep(), new Random(1))
    assert.isTrue(left().equals(Buffer.alloc(9 * page, "x")))
  })

  it("keeps any pages of what was not synced when some is lost, and all that was", () => {
    const selections = new Set<string>()
    for (let seed = 0; seed < 200; seed++) {
      const disk = written(
        `${made}7 pwrite64(20<%/log>, ""..., 5, 0) = 5
7 fdatasync(20<%/log>) = 0
7 pwrite64(20<%/log>, ""..., ${3 * page}, 5) = ${3 * page}`,
        8 * page,
        [0, Buffer.from("first")],
        [5, Buffer.alloc(3 * page, "x")]
      )
      const { bytes } = disk.lose("some", keep(), new Random(seed))
      shadow?.close()
      const file = left()
      assert.lengthOf(file, 8 * page)
      assert.equal(file.toString("utf8", 0, 5), "first")
      assert.isTrue(isAll(file.subarray(5 + 3 * page), 0))
      const parts = [[5, page], [page, 2 * page], [2 * page, 3 * page], [3 * page, 5 + 3 * page]] as const
      let zeros = 0
      const kept = parts.map(([from, to]) => {
        const part = file.subarray(from, to)
        if (isAll(part, 0)) zeros += part.byteLength
        return isAll(part, 120) ? "x" : isAll(part, 0) ? "0" : "?"
      }).join("")
      assert.equal(bytes, zeros)
      selections.add(kept)
    }
    for (const one of ["0000", "xxxx", "0x00", "x00x", "00x0"]) assert.include([...selections], one)
    // Noise is in the last page that was kept.
    const noisy = [...selections].filter((kept) => kept.includes("?"))
    assert.isNotEmpty(noisy)
    for (const kept of noisy) assert.match(kept, /^[x0]*\?0*$/)
  })

  it("comes back whole after it was cut and removed", () => {
    const disk = start({})
    told(disk, made)
    writeFileSync(join(directory, "log"), "first")
    const links = keep()
    told(
      disk,
      `7 pwrite64(20<%/log>, ""..., 5, 0) = 5
7 fdatasync(20<%/log>) = 0
7 ftruncate(20<%/log>, 5) = 0
7 unlink("%/log") = 0`
    )
    unlinkSync(join(directory, "log"))
    disk.lose("all", links, new Random(1))
    assert.lengthOf(left(), 8 * page)
    assert.equal(left().toString("utf8", 0, 5), "first")
  })

  it("is not durable because the next process finds it", () => {
    const trace = `${made}7 pwrite64(20<%/log>, ""..., 5, 0) = 5
7 fdatasync(20<%/log>) = 0
7 pwrite64(20<%/log>, ""..., 7, 5 <unfinished ...>`
    const again = (next: string): string => {
      const disk = written(trace, 8 * page, [0, Buffer.from("first, later")])
      disk.outlive()
      told(disk, next)
      disk.lose("all", keep(), new Random(1))
      shadow?.close()
      return left().toString("utf8", 0, 12)
    }
    assert.equal(again(`9 fsync(9<%>) = 0`), "first\0\0\0\0\0\0\0")
    assert.equal(again(`9 fdatasync(20<%/log>) = 0`), "first, later")
  })
})

describe("a trace", () => {
  const calls = (trace: string): ReadonlyArray<Call> => {
    const ended: Array<Call> = []
    readTrace(trace, { begin: () => undefined, end: (call) => ended.push(call), fail: () => undefined })
    return ended
  }

  it("tells of calls by the order of their ends, without those that failed", () => {
    const found = calls(`7 write(3</a>, ""..., 9 <unfinished ...>
8 unlink("/b") = -1 ENOENT (No such file or directory)
8 rename("/c", "/d") = 0
7 <... write resumed>) = 9
9 ???( <detached ...>
7 +++ killed by SIGKILL +++`)
    assert.deepEqual(found.map(({ name, paths, result }) => [name, paths.join(" "), result]), [
      ["rename", "/c /d", 0],
      ["write", "/a", 9]
    ])
  })

  it("is not read past a line that is not understood", () => {
    assert.throws(() => calls("what is this"), /not understood/)
  })

  it("stops the run at what the disk does not model", () => {
    const disk = start({ "1.log": "first" })
    assert.throws(() => told(disk, `7 pwrite64(20<%/1.log>, ""..., 2, 0) = 2`), /written over/)
    assert.throws(() => told(disk, `7 ftruncate(20<%/1.log>, 2) = 0`), /cut off/)
    told(disk, `7 ftruncate(20<%/1.log>, 100) = 0`)
    assert.throws(() => told(disk, `7 write(20<%/1.log>, ""..., 2) = 2`), /with zeros/)
    assert.throws(() => told(disk, `7 fallocate(20<%/1.log>, 0, 0, 4096) = 0`), /grows without a write/)
    assert.throws(() => told(disk, `7 link("%/1.log", "%/2.log") = 0`), /not foreseen/)
  })
})

describe("folders above the directory", () => {
  const made = `7 mkdir("%/a", 0777) = 0
7 mkdir("%/a/b", 0777) = 0
7 mkdir("%/a/b/data", 0777) = 0
`
  /** What is left of `a/b/data` after a loss of everything that was not durable. */
  const left = (trace: string): ReadonlyArray<string> => {
    const data = join(directory, "a", "b", "data")
    mkdirSync(directory)
    const folders = new VolatileFolders(directory, data)
    mkdirSync(data, { recursive: true })
    readTrace(trace.replaceAll("%", directory), {
      begin: (call) => folders.begin(call),
      end: (call) => folders.end(call),
      fail: (call) => folders.fail(call)
    })
    folders.lose("all", new Random(1))
    return readdirSync(directory, { recursive: true, encoding: "utf8" }).sort()
  }

  it("are all there when each parent was synced", () => {
    const synced = `7 fsync(9<%/a/b>) = 0\n7 fsync(9<%/a>) = 0\n7 fsync(9<%>) = 0`
    assert.deepEqual(left(made + synced), ["a", "a/b", "a/b/data"])
  })

  it("go with everything below the first one whose parent was not synced", () => {
    assert.deepEqual(left(`${made}7 fsync(9<%/a/b>) = 0`), [])
  })

  it("are not durable by a sync that began before they were made, or that failed", () => {
    assert.deepEqual(left(`${made}7 fsync(9<%>) = 0\n7 fsync(9<%/a>) = 0\n7 fsync(9<%/a/b>) = -1 EIO (error)`), [
      "a",
      "a/b"
    ])
    rmSync(directory, { recursive: true })
    const early = `7 mkdir("%/a", 0777) = 0\n8 fsync(9<%/a> <unfinished ...>\n7 mkdir("%/a/b", 0777) = 0
8 <... fsync resumed>) = 0\n7 fsync(9<%>) = 0`
    assert.deepEqual(left(early), ["a"])
  })
})
