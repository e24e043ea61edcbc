/**
 * Random keys and values of any bytes on their way through every verb of the command line: what comes out is what went
 * in, byte for byte.
 */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { Random } from "../../src/raft/Random.ts"
import { flaredbAt } from "./Flaredb.ts"

export interface RoundTripOptions {
  readonly count: number
  readonly seed: number
  /** What Node runs as `flaredb`. */
  readonly program: string
  /** For files. */
  readonly folder: string
  /** Endpoints of an empty cluster. */
  readonly endpoints: string
  /** Restores a backup into a new cluster and gives its endpoints. */
  readonly restore: (file: string) => Promise<string>
  readonly note: (line: string) => void
  /** How much is done with a process for each key or each few, from 1. */
  readonly samples: number
}

/** Bytes as a key of a map. */
type Name = string
const nameOf = (bytes: Uint8Array): Name => Buffer.from(bytes).toString("latin1")
const bytesOf = (name: Name): Buffer => Buffer.from(name, "latin1")

type Rows = Map<Name, Buffer>

/** What has gone wrong somewhere, or is likely to. */
const awkward: ReadonlyArray<Uint8Array> = [
  [0],
  [0xff],
  [0xff, 0xff],
  [0x80],
  [0xed, 0xa0, 0x80],
  [0xef, 0xbb, 0xbf],
  [0xef, 0xbf, 0xbd],
  [0x0a],
  [0x0d, 0x0a],
  [0x09],
  [0x22, 0x5c],
  [0x27],
  [0xc3],
  [0x2d],
  [0x2d, 0x2d],
  [...Buffer.from("(base64) AAH/")],
  [...Buffer.from("{\"more\":true}")],
  [...Buffer.from("\u2028\u202e\u0085")]
].map((bytes) => Uint8Array.from(bytes))

const randomBytes = (random: Random, length: number): Buffer =>
  Buffer.from(Uint8Array.from({ length }, () => random.between(0, 256)))

const randomRows = (count: number, seed: number): Rows => {
  const random = new Random(seed)
  const rows: Rows = new Map()
  for (const bytes of awkward) rows.set(nameOf(bytes), Buffer.from(bytes))
  rows.set(nameOf(randomBytes(random, 4_096)), randomBytes(random, 1_024 * 1_024))
  while (rows.size < count) {
    const length = random.between(0, 1_000) === 0 ? random.between(0, 20_000) : random.between(0, 100)
    // A third is text, so that both kinds of rows are printed.
    const isText = random.between(0, 3) === 0
    const key = randomBytes(random, random.between(1, 40))
    const value = randomBytes(random, length)
    rows.set(
      nameOf(isText ? Buffer.from(key.toString("hex")) : key),
      isText ? Buffer.from(value.toString("hex")) : value
    )
  }
  return rows
}

const sorted = (rows: Rows): ReadonlyArray<readonly [Buffer, Buffer]> =>
  [...rows].map(([name, value]) => [bytesOf(name), value] as const).sort(([a], [b]) => Buffer.compare(a, b))

const check = (holds: boolean, what: string): void => {
  if (!holds) throw new Error(what)
}

const sameRows = (what: string, found: ReadonlyArray<readonly [Buffer, Buffer]>, rows: Rows): void => {
  const expected = sorted(rows)
  check(found.length === expected.length, `${what}: ${found.length} rows instead of ${expected.length}`)
  for (const [i, [key, value]] of expected.entries()) {
    const row = found[i]
    check(
      row !== undefined && row[0].equals(key),
      `${what}: row ${i} has the key ${row?.[0].toString("hex")}, not ${key.toString("hex")}`
    )
    check(row !== undefined && row[1].equals(value), `${what}: the value of ${key.toString("hex")} is another one`)
  }
}

type Json = Readonly<Record<string, unknown>>

const linesOf = (out: Buffer): ReadonlyArray<Json> =>
  out.toString("utf8").split("\n").filter((line) => line !== "").map((line) => JSON.parse(line))

/** The bytes of a field that was printed as text, unless the field beside it says base64. */
const fieldOf = (row: Json, name: string): Buffer => {
  const encoding = row[`${name}Encoding`]
  check(encoding === undefined || encoding === "base64", `${name}Encoding is ${String(encoding)}`)
  return Buffer.from(String(row[name]), encoding === "base64" ? "base64" : "utf8")
}

const rowsOf = (out: Buffer): ReadonlyArray<readonly [Buffer, Buffer]> =>
  linesOf(out).map((row) => [fieldOf(row, "key"), fieldOf(row, "value")] as const)

/** Takes back what text output does to a cell. */
const cellOf = (text: string): Buffer => {
  if (text.startsWith("(base64) ")) return Buffer.from(text.slice("(base64) ".length), "base64")
  return Buffer.from(text.replace(/\\(u[0-9a-f]{4}|.)/g, (_, escape: string) => {
    if (escape.startsWith("u") && escape.length === 5) return String.fromCharCode(Number.parseInt(escape.slice(1), 16))
    return ({ t: "\t", n: "\n", r: "\r" } as Readonly<Record<string, string>>)[escape] ?? escape
  }))
}

/** Throws what is wrong first. */
export const roundTrip = async (options: RoundTripOptions): Promise<void> => {
  const { count, folder, note, program, restore, samples, seed } = options
  const rows = randomRows(count, seed)
  const flaredb = flaredbAt(program, options.endpoints)
  const on = async (
    code: number,
    args: ReadonlyArray<string>,
    stdin?: string | Uint8Array,
    at = flaredb
  ): Promise<Buffer> => {
    const ran = await at(args, stdin)
    check(ran.code === code, `flaredb ${args.join(" ").slice(0, 200)} ended with ${ran.code}, not ${code}: ${ran.err}`)
    return ran.out
  }
  const timed = async <A>(what: string, work: () => Promise<A>): Promise<A> => {
    const startedMs = performance.now()
    const result = await work()
    note(`${what}: ${Math.round(performance.now() - startedMs)} ms`)
    return result
  }

  // A watch from the beginning runs beside the puts: the history does not keep all of them for ever.
  const watching = on(0, ["watch", "--from-revision", "1", "--limit", String(rows.size), "--json"])
  const input = [...rows].map(([name, value]) =>
    `${JSON.stringify({ key: bytesOf(name).toString("base64"), value: value.toString("hex"), valueEncoding: "hex" })}\n`
  ).join("")
  await timed(`put --rows of ${rows.size} keys`, () => on(0, ["put", "--rows", "--key-encoding", "base64"], input))
  const changes = await timed("watch --json", () => watching)
  sameRows("watch --json", sorted(new Map(rowsOf(changes).map(([key, value]) => [nameOf(key), value]))), rows)

  sameRows("scan --json", rowsOf(await timed("scan --json", () => on(0, ["scan", "--json"]))), rows)
  const hex = (await timed("scan --encoding hex", () => on(0, ["scan", "--encoding", "hex"]))).toString("latin1")
  sameRows(
    "scan --encoding hex",
    hex.split("\n").slice(0, -1).map((line) => {
      const [key = "", value = ""] = line.split("\t")
      return [Buffer.from(key, "hex"), Buffer.from(value, "hex")] as const
    }),
    rows
  )
  const text = (await timed("scan as text", () => on(0, ["scan"]))).toString("utf8")
  sameRows(
    "scan as text",
    text.split("\n").slice(0, -1).map((line) => {
      const [key = "", value = ""] = line.split("\t")
      return [cellOf(key), cellOf(value)] as const
    }),
    rows
  )
  check(String(await on(0, ["count"])) === `${rows.size}\n`, "count is another one")

  const keys = linesOf(await on(0, ["scan", "--json", "--keys-only"])).map((row) => JSON.stringify(row)).join("\n")
  sameRows("get --rows", rowsOf(await timed("get --rows", () => on(0, ["get", "--rows"], keys))), rows)

  await timed("one key at a time", async () => {
    const random = new Random(seed + 1)
    for (const sample of awkward.slice(0, samples)) {
      const key = Buffer.from(sample)
      const value = randomBytes(random, 1_000)
      rows.set(nameOf(key), value)
      await on(0, ["put", "--key-encoding", "hex", key.toString("hex"), "-"], value)
      const named = ["get", "--key-encoding", "base64", key.toString("base64")]
      const file = join(folder, `value-${key.toString("hex")}`)
      await on(0, [...named, "--output", file])
      check(readFileSync(file).equals(value), "get --output FILE is another value")
      check((await on(0, [...named, "--output", "-"])).equals(value), "get --output - is another value")
      check((await on(0, named)).equals(value), "get into a pipe is another value")
      const [row = {}] = linesOf(await on(0, [...named, "--json"]))
      check(fieldOf(row, "value").equals(value), "get --json is another value")
    }
  })

  await timed("txn", async () => {
    const all = sorted(rows)
    const size = 100
    for (let start = 0; start < Math.min(all.length, samples * size); start += size) {
      const part = all.slice(start, start + size)
      const transaction = {
        if: part.map(([key, value]) => ["value", key.toString("base64"), "=", value.toString("base64")]),
        do: part.map(([key]) => ["get", key.toString("base64")])
      }
      const out = await on(0, ["txn", "-", "--json", "--encoding", "base64"], JSON.stringify(transaction))
      const [{ results, succeeded } = {}] = linesOf(out)
      check(succeeded === true, "txn: a value compares as another one")
      sameRows(
        "txn",
        (results as ReadonlyArray<Json>).map(({ key, value }) => [
          Buffer.from(String(key), "base64"),
          Buffer.from(String(value), "base64")
        ]),
        new Map(part.map(([key, value]) => [nameOf(key), value]))
      )
    }
  })

  const file = join(folder, "state.flaredb")
  await timed("backup", () => on(0, ["backup", file]))
  const restored = flaredbAt(program, await timed("restore", () => restore(file)))
  const dump = await timed("scan --json of the restored cluster", () => on(0, ["scan", "--json"], undefined, restored))
  sameRows("the restored cluster", rowsOf(dump), rows)

  await timed("delete", async () => {
    const gone = [...rows.keys()].filter((name) => name.startsWith("\u00ff"))
    const out = await on(0, ["delete", "--prefix", "--key-encoding", "hex", "ff", "--json"])
    const [{ deleted } = {}] = linesOf(out)
    check(deleted === gone.length, `delete --prefix deleted ${String(deleted)} keys, not ${gone.length}`)
    for (const name of gone) rows.delete(name)
    const one = bytesOf([...rows.keys()].find((name) => /[\u0080-\u00ff]/.test(name)) as Name)
    await on(0, ["delete", "--key-encoding", "hex", one.toString("hex")])
    rows.delete(nameOf(one))
    sameRows("scan after delete", rowsOf(await on(0, ["scan", "--json"])), rows)
    await on(0, ["delete", "--prefix", "", "--all"])
    check(String(await on(0, ["count"])) === "0\n", "keys are left after delete --prefix \"\" --all")
  })

  // A dump goes back in as it was printed, into the cluster that is empty now.
  await timed("put --rows of a dump", () => on(0, ["put", "--rows"], dump))
  const again = await on(0, ["scan", "--json"])
  check(rowsOf(again).length === rowsOf(dump).length, "the dump came back with another number of rows")
  sameRows("the dump", rowsOf(again), new Map(rowsOf(dump).map(([key, value]) => [nameOf(key), value])))
}
