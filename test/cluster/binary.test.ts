/** Keys and values of any bytes on the command line: what is put comes out as it was, whoever put it. */
import { assert } from "@effect/vitest"
import { Effect, FileSystem } from "effect"
import { Clusters } from "../binary/Clusters.ts"
import { flaredbAt } from "../binary/Flaredb.ts"
import { roundTrip } from "../binary/RoundTrip.ts"
import { launcher } from "./Flaredb.ts"
import { emptyStore, onShared } from "./SharedCluster.ts"

const folderOf = Effect.flatMap(
  FileSystem.FileSystem,
  (files) => files.makeTempDirectoryScoped({ prefix: "flaredb-binary-" })
)

/** The same at the same store, as a process whose output is bytes. */
const processOf = (endpoints: string) => {
  const flaredb = flaredbAt(launcher, endpoints)
  return (code: number, args: ReadonlyArray<string>, stdin?: string | Uint8Array) =>
    Effect.map(Effect.promise(() => flaredb(args, stdin)), (ran) => {
      assert.strictEqual(ran.code, code, `flaredb ${args.join(" ")}\n${ran.out.toString()}${ran.err}`)
      return { bytes: ran.out, out: ran.out.toString(), err: ran.err }
    })
}

const json = (out: string): ReadonlyArray<unknown> => out.trim().split("\n").map((line) => JSON.parse(line))

onShared("keys and values of any bytes", 1, (live) => {
  live(
    "come out of every verb as they went in, and out of a backup",
    Effect.gen(function*() {
      const folder = yield* folderOf
      const clusters = new Clusters({ voters: 1, folder, program: launcher })
      yield* Effect.addFinalizer(() => Effect.promise(() => clusters.stop()))
      yield* Effect.promise(async () =>
        roundTrip({
          count: 2_000,
          samples: 1,
          seed: 12,
          program: launcher,
          folder,
          endpoints: await clusters.start(),
          restore: (file) => clusters.start(file),
          note: () => undefined
        })
      )
    })
  )

  live(
    "have an encoding each, and the specific one wins",
    Effect.gen(function*() {
      const { flaredb, revision } = yield* emptyStore
      yield* flaredb(0, ["put", "--key-encoding", "hex", "00ff", "hello"])
      assert.strictEqual((yield* flaredb(0, ["get", "--key-encoding", "base64", "AP8="])).out, "hello\n")
      assert.strictEqual((yield* flaredb(0, ["get", "--encoding", "hex", "00ff"])).out, "68656c6c6f\n")
      const mixed = ["--encoding", "hex", "--value-encoding", "text"]
      assert.strictEqual((yield* flaredb(0, ["get", ...mixed, "00ff"])).out, "hello\n")
      assert.strictEqual((yield* flaredb(0, ["scan", ...mixed])).out, "00ff\thello\n")
      assert.strictEqual((yield* flaredb(0, ["count", "--key-encoding", "hex", "00"])).out, "1\n")
      const first = revision + 1
      const past = ["--from-revision", String(first), "--limit", "1"]
      assert.strictEqual((yield* flaredb(0, ["watch", ...mixed, ...past])).out, `${first}\tput\t00ff\thello\n`)
      const txn = ["txn", ...mixed, "--if", "value 00ff = hello", "--do", "put 01 world", "--do", "get 00ff", "--json"]
      const [result] = json((yield* flaredb(0, txn)).out)
      assert.deepInclude(result, { succeeded: true })
      assert.strictEqual((yield* flaredb(0, ["get", "--key-encoding", "hex", "01"])).out, "world\n")
      yield* flaredb(0, ["delete", "--key-encoding", "hex", "00ff"])
      assert.strictEqual((yield* flaredb(0, ["count"])).out, "1\n")
    })
  )

  live(
    "are marked in text and named in JSON where they are no text, and end nobody's scan or watch",
    Effect.gen(function*() {
      const { cluster, flaredb, revision } = yield* emptyStore
      yield* flaredb(0, ["put", "k/1", "before"])
      yield* flaredb(0, ["put", "--encoding", "hex", "6b2fff", "00ff"])
      yield* flaredb(0, ["put", "--encoding", "hex", "6b2fff", "ff"])
      // Text that looks like the mark is told apart.
      yield* flaredb(0, ["put", "k/0", "(base64) AP8="])
      const [key, old, now] = ["ay//", "AP8=", "/w=="]
      const shown = `(base64) ${key}`
      assert.strictEqual(
        (yield* flaredb(0, ["scan"])).out,
        `k/0\t\\(base64) AP8=\nk/1\tbefore\n${shown}\t(base64) ${now}\n`
      )
      const raw = yield* processOf(cluster.endpointList)(0, ["scan", "--raw", "--key-encoding", "hex", "6b2fff"])
      assert.deepStrictEqual([...raw.bytes], [...Buffer.from("6b2fff\t"), 0xff, 0x0a])
      const named = { key, keyEncoding: "base64", value: now, valueEncoding: "base64" }
      const [first, , last] = json((yield* flaredb(0, ["scan", "--json"])).out)
      assert.notProperty(first, "keyEncoding")
      assert.notProperty(first, "valueEncoding")
      assert.deepInclude(last, named)

      const past = ["watch", "k/", "--from-revision", String(revision + 2), "--previous", "--limit", "3"]
      assert.strictEqual(
        (yield* flaredb(0, past)).out,
        `${revision + 2}\tput\t${shown}\t(base64) ${old}\n` +
          `${revision + 3}\tput\t${shown}\t(base64) ${now}\t(base64) ${old}\n` +
          `${revision + 4}\tput\tk/0\t\\(base64) AP8=\n`
      )
      const [, change] = json((yield* flaredb(0, [...past, "--json"])).out)
      assert.deepInclude(change, named)
      assert.deepInclude((change as { readonly previous: object }).previous, { value: old, valueEncoding: "base64" })

      const [, got] = json((yield* flaredb(0, ["txn", "--do", "scan k/"])).out.replace(/^.*\n/, "[]\n"))
      assert.deepInclude((got as { readonly entries: ReadonlyArray<object> }).entries[2], named)

      const [lease] = json((yield* flaredb(0, ["lease", "grant", "60s", "--json"])).out)
      const id = String((lease as { readonly id: number }).id)
      yield* flaredb(0, ["put", "k/1", "again", "--lease", id])
      yield* flaredb(0, ["put", "--key-encoding", "hex", "6b2fff", "again", "--lease", id])
      assert.include((yield* flaredb(0, ["lease", "ttl", id])).out, `\nk/1\n${shown}\n`)
      const [ttl] = json((yield* flaredb(0, ["lease", "ttl", id, "--json"])).out)
      assert.deepInclude(ttl, { keys: ["k/1", { key, keyEncoding: "base64" }] })
      yield* flaredb(0, ["delete", "--key-encoding", "hex", "6b2fff"])
    })
  )

  live(
    "leave get as they are, into a pipe and into a file of their own",
    Effect.gen(function*() {
      const files = yield* FileSystem.FileSystem
      const folder = yield* folderOf
      const flaredb = processOf((yield* emptyStore).cluster.endpointList)
      const photo = Uint8Array.of(0xff, 0xd8, 0x00, 0x0a, 0xc3, 0x0d, 0x0a)
      yield* flaredb(0, ["put", "photo", "-"], photo)
      yield* flaredb(0, ["put", "note", "line"])
      for (const args of [["get", "photo"], ["get", "photo", "-o", "-"], ["get", "photo", "--output", "/dev/stdout"]]) {
        assert.deepStrictEqual([...(yield* flaredb(0, args)).bytes], [...photo], args.join(" "))
      }
      assert.strictEqual((yield* flaredb(0, ["get", "note"])).out, "line\n")
      assert.strictEqual((yield* flaredb(0, ["get", "note", "-o", "-"])).out, "line")
      const [row] = json((yield* flaredb(0, ["get", "photo", "--json"])).out)
      assert.deepInclude(row, { key: "photo", value: "/9gACsMNCg==", valueEncoding: "base64" })

      const file = `${folder}/copy.jpg`
      assert.strictEqual((yield* flaredb(0, ["get", "photo", "--output", file])).out, "")
      assert.deepStrictEqual([...yield* files.readFile(file)], [...photo])
      assert.strictEqual((yield* files.stat(file)).mode & 0o777, 0o600)
      const taken = yield* flaredb(2, ["get", "note", "--output", file])
      assert.match(taken.err, /copy\.jpg exists already; give another name, or --force to replace it/)
      assert.deepStrictEqual([...yield* files.readFile(file)], [...photo])
      yield* flaredb(0, ["get", "note", "--output", file, "--force"])
      assert.strictEqual(yield* files.readFileString(file), "line")
      yield* flaredb(3, ["get", "nothing", "--output", `${folder}/nothing`])
      yield* flaredb(1, ["get", "note", "--output", `${folder}/nowhere/file`])
      yield* flaredb(0, ["get", "note", "--output", "/dev/null"])
      assert.deepStrictEqual(yield* files.readDirectory(folder), ["copy.jpg"])
    })
  )
})
