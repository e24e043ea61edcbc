/** Many keys on the command line: whole scans, rows in and out, counts, and prefixes that are deleted. */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { eventually } from "../Eventually.ts"
import { cleanEnv, launcher, run } from "./Flaredb.ts"
import { emptyStore, onShared } from "./SharedCluster.ts"

const linesOf = (out: string): ReadonlyArray<string> => out.split("\n").filter((line) => line !== "")

const json = (out: string): ReadonlyArray<Readonly<Record<string, unknown>>> =>
  linesOf(out).map((line) => JSON.parse(line))

const rowsOf = (rows: ReadonlyArray<object>): string => rows.map((row) => `${JSON.stringify(row)}\n`).join("")

const numbered = (prefix: string, count: number) =>
  Array.from({ length: count }, (_, i) => ({ key: `${prefix}${String(i).padStart(5, "0")}`, value: String(i) }))

onShared("many keys", 1, (live) => {
  live(
    "are all scanned, up to --limit, which says what is left out where a script sees it",
    Effect.gen(function*() {
      const { env, flaredb, revision } = yield* emptyStore
      // As a process too, with a pipe at either end.
      const loaded = yield* run(["put", "--rows"], { env, stdin: rowsOf(numbered("k/", 2_500)) })
      const out = `2500 rows put, up to revision ${revision + 2_500}\n`
      assert.deepStrictEqual(loaded, { code: 0, out, err: "" })
      const all = yield* flaredb(0, ["scan", "k/"])
      assert.strictEqual(linesOf(all.out).length, 2_500)
      assert.strictEqual(all.err, "")
      assert.deepStrictEqual(yield* run(["scan", "k/"], { env }), all)
      const reversed = json((yield* flaredb(0, ["scan", "--json", "--keys-only", "--reverse"])).out)
      assert.deepStrictEqual(
        reversed.map(({ key }) => `${key}`),
        json((yield* flaredb(0, ["scan", "--json"])).out)
          .map(({ key }) => `${key}`).toReversed()
      )

      const first = yield* flaredb(0, ["scan", "--limit", "1500"])
      assert.strictEqual(linesOf(first.out).length, 1_500)
      assert.strictEqual(first.err, "there is more; go on with --cursor k/01499\n")
      const rest = yield* flaredb(0, ["scan", "--cursor", "k/01499"])
      assert.strictEqual(first.out + rest.out, all.out)
      const page = yield* flaredb(0, ["scan", "--limit", "1500", "--json"])
      assert.deepStrictEqual(json(page.out)[1_500], { more: true, cursor: "k/01499" })
      assert.strictEqual((yield* flaredb(0, ["scan", "--limit", "2500"])).err, "")
    })
  )

  live(
    "have cursors that a shell takes as they are, whoever chose the key",
    Effect.gen(function*() {
      const { env, flaredb } = yield* emptyStore
      const keys = ["-e", "a b", "it's $(id)", "tab\t", "z"]
      yield* flaredb(0, ["put", "--rows"], rowsOf(keys.map((key) => ({ key, value: "" }))))
      yield* flaredb(0, ["put", "--key-encoding", "hex", "22ff", "x"])
      const whole = (yield* flaredb(0, ["scan", "--keys-only"])).out
      const [, more] = json((yield* flaredb(0, ["scan", "--limit", "1", "--json"])).out)
      assert.deepStrictEqual(more, { more: true, cursor: "Iv8=", cursorEncoding: "base64" })
      let seen = ""
      let flags = ""
      const shell = (line: string) =>
        Effect.promise(async () => {
          const child = spawn("sh", ["-c", line], {
            env: { ...process.env, ...cleanEnv(env) }
          })
          let [out, err] = ["", ""]
          child.stdout.on("data", (chunk) => out += chunk)
          child.stderr.on("data", (chunk) => err += chunk)
          await once(child, "close")
          return { out, err }
        })
      for (let pages = 0; pages < linesOf(whole).length; pages++) {
        const { err, out } = yield* shell(`"${process.execPath}" ${launcher} scan --keys-only --limit 1 ${flags}`)
        seen += out
        flags = /^there is more; go on with (.*)\n$/.exec(err)?.[1] ?? "--none"
      }
      assert.strictEqual(flags, "--none")
      assert.strictEqual(seen, whole)
    })
  )

  live(
    "that are put until a signal comes are counted, and the exit code says that it came",
    Effect.gen(function*() {
      const { env, flaredb } = yield* emptyStore
      const put = spawn(process.execPath, [launcher, "put", "--rows"], {
        env: { ...process.env, ...cleanEnv(env) }
      })
      const ended = once(put, "close")
      let err = ""
      put.stderr.setEncoding("utf8").on("data", (text: string) => err += text)
      // Its input stays open: there may be more.
      put.stdin.on("error", () => undefined).write(rowsOf(numbered("k/", 100)))
      const count = Effect.map(flaredb(0, ["count", "k/"]), ({ out }) => out)
      yield* eventually("all rows are put", Effect.map(count, (out) => out === "100\n"))
      put.kill("SIGINT")
      const [code] = yield* Effect.promise(() => ended)
      assert.strictEqual(code, 130)
      assert.match(err, /^flaredb: interrupted; 100 rows put so far/)
    })
  )

  live(
    "are counted, and deleted by their prefix, however many they are",
    Effect.gen(function*() {
      const { flaredb, revision } = yield* emptyStore
      yield* flaredb(0, ["put", "--rows"], rowsOf([...numbered("few/", 20), ...numbered("many/", 10_500)]))
      assert.strictEqual((yield* flaredb(0, ["count"])).out, "10520\n")
      assert.strictEqual((yield* flaredb(0, ["count", "few/", "--json"])).out, "{\"prefix\":\"few/\",\"count\":20}\n")
      const few = yield* flaredb(0, ["delete", "--prefix", "few/"])
      assert.strictEqual(few.out, `20 keys deleted at revision ${revision + 10_521}\n`)
      assert.match((yield* flaredb(0, ["delete", "--prefix", "few/"])).out, /^0 keys deleted/)
      const many = yield* flaredb(0, ["delete", "many/", "--prefix"])
      assert.match(many.out, /^10500 keys deleted at revision \d+, in 21 transactions\n$/)
      yield* flaredb(0, ["put", "left", "1"])
      assert.match((yield* flaredb(2, ["delete", "--prefix", ""])).err, /every key there is; add --all/)
      assert.match((yield* flaredb(2, ["delete", "--all", "left"])).err, /--all goes with --prefix ""/)
      assert.strictEqual((yield* flaredb(0, ["count"])).out, "1\n")
      assert.match((yield* flaredb(0, ["delete", "--prefix", "", "--all", "--json"])).out, /"deleted":1,/)
      assert.strictEqual((yield* flaredb(0, ["count"])).out, "0\n")
    })
  )

  live(
    "go in and out as rows; a row that is wrong is named by its line",
    Effect.gen(function*() {
      const { flaredb, revision } = yield* emptyStore
      const rows = [
        { key: "a", value: "1" },
        { key: "AP8=", keyEncoding: "base64", value: "ff", valueEncoding: "hex" },
        { key: "a", value: "2" },
        { more: true, cursor: "a" }
      ]
      const put = yield* flaredb(0, ["put", "--rows", "--json"], `\n${rowsOf(rows)}`)
      assert.deepStrictEqual(json(put.out), [{ rows: 3, revision: revision + 3 }])
      assert.match(put.err, /cut off by --limit/)
      const asked = rowsOf([{ key: "no" }, { key: "AP8=", keyEncoding: "base64" }, { key: "a" }])
      const got = yield* flaredb(3, ["get", "--rows"], asked.trimEnd())
      assert.deepStrictEqual(
        json(got.out).map(({ key, missing, value }) => [key, value ?? missing]),
        [["no", true], ["AP8=", "/w=="], ["a", "2"]]
      )
      assert.match(got.err, /1 of 3 keys do not exist/)

      const wrong: ReadonlyArray<readonly [row: string | Uint8Array, says: RegExp]> = [
        ["frobnicate", /line 2 is no JSON object such as flaredb scan --json prints/],
        ["{\"key\":\"x\"}", /line 2 has no value/],
        ["{\"value\":\"x\"}", /line 2 has no key/],
        ["{\"key\":\"\",\"value\":\"x\"}", /line 2: invalid key: is empty/],
        ["{\"key\":\"x\",\"keyEncoding\":\"morse\",\"value\":\"x\"}", /line 2 has the keyEncoding "morse"/],
        ["{\"key\":\"A\",\"keyEncoding\":\"base64\",\"value\":\"x\"}", /the key of line 2 "A" is not base64/],
        ["{\"key\":\"\\ud800\",\"value\":\"x\"}", /the key of line 2 .* half of a surrogate pair/],
        [Uint8Array.of(0x22, 0xff, 0x22), /line 2 is not UTF-8/]
      ]
      for (const [i, [row, says]] of wrong.entries()) {
        const good = `{"key":"good/${i}","value":"1"}\n`
        const refused = yield* flaredb(2, ["put", "--rows"], Buffer.concat([Buffer.from(good), Buffer.from(row)]))
        assert.match(refused.err, says)
        assert.match(refused.err, /\b1 row in all/)
      }
      assert.strictEqual((yield* flaredb(0, ["count", "good/"])).out, `${wrong.length}\n`)
    })
  )

  // The last one: the node ends in it.
  live(
    "are named as far as they were printed when the rest does not come",
    Effect.gen(function*() {
      const { cluster, env, flaredb } = yield* emptyStore
      const value = "x".repeat(1_024 * 1_024)
      yield* flaredb(0, ["put", "--rows"], rowsOf(numbered("k/", 12).map(({ key }) => ({ key, value }))))
      const scan = spawn(process.execPath, [launcher, "scan", "--timeout", "5s"], {
        env: { ...process.env, ...cleanEnv(env) }
      })
      const ended = once(scan, "close")
      let [out, err] = ["", ""]
      scan.stderr.setEncoding("utf8").on("data", (text: string) => err += text)
      // A scan reads no further than its reader does: it has a page or two when the node ends.
      yield* Effect.promise(() => once(scan.stdout, "readable"))
      yield* cluster.node(1).stop("SIGKILL")
      scan.stdout.setEncoding("utf8").on("data", (text: string) => out += text)
      const [code] = yield* Effect.promise(() => ended)
      assert.strictEqual(code, 1, err)
      const keys = linesOf(out).map((line) => line.slice(0, line.indexOf("\t")))
      assert.isBelow(keys.length, 12)
      assert.include(err, `; ${keys.length} keys printed, go on with --cursor ${keys.at(-1)}\n`)
    })
  )
})
