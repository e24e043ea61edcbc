/** Wrong usage of every command: exit code 2, nothing on standard output, and one line that names what is wrong. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { run } from "./CommandLine.ts"
import { runInProcess } from "./InProcess.ts"
import { verbs } from "./Verbs.ts"
import { access } from "./usage/access.ts"
import { actors } from "./usage/actors.ts"
import { certificates } from "./usage/certificates.ts"
import { copies } from "./usage/copies.ts"
import { keys } from "./usage/keys.ts"
import { leases } from "./usage/leases.ts"
import { nodes } from "./usage/nodes.ts"
import type { Wrong, WrongUsage } from "./usage/WrongUsage.ts"

const wrong: WrongUsage = { ...keys, ...leases, ...access, ...actors, ...copies, ...nodes, ...certificates }

/** What the benchmark starts by itself: it is in no help. */
const internal = "bench-load"

const documented = verbs.filter((verb) => verb !== internal)

/** Verbs that are asked for `--json` as processes: of each table one, and those of which the launcher does a part. */
const tables = [keys, leases, access, actors, copies, nodes, certificates]
const jsonProcesses = new Set(["flaredb", "start", ...tables.map((table) => Object.keys(table)[0])])

/**
 * Variables and what the launcher does with `start` are a process's own, and here `--json` too, because several calls are
 * under way at a time. All the others are read, and refused, by the same function in this process.
 */
const refusal = (verb: string, [args, , env]: Wrong) =>
  env !== undefined || args.includes("--json") || verb === "flaredb" || verb === "start"
    ? run(args, { env: env ?? {} })
    : runInProcess(args)

describe("wrong usage", () => {
  it("is tried on every verb there is", () => {
    assert.deepStrictEqual(Object.keys(wrong).filter((verb) => verb !== "flaredb").sort(), documented)
  })

  for (const [verb, cases] of Object.entries(wrong)) {
    it.live(
      `of ${verb} is refused before anything is tried`,
      () =>
        Effect.forEach(cases, (wrongly) =>
          Effect.map(refusal(verb, wrongly), ({ code, err, out }) => {
            const [args, says] = wrongly
            const shown = `flaredb ${args.join(" ").slice(0, 80)}\n${out}${err}`
            assert.strictEqual(code, 2, shown)
            assert.strictEqual(out, "", shown)
            assert.match(err, args.includes("--json") ? /^\{"error":[^\n]+\n$/ : /^flaredb: [^\n]+\n$/, shown)
            assert.match(err, says, shown)
          }), { concurrency: 2, discard: true }).pipe(Effect.provide(NodeServices.layer)),
      120_000
    )

    it.live(
      `of ${verb} is an object on standard error with --json`,
      () => {
        const [[args, says, env = {}] = [[], /^/]] = cases as readonly [Wrong, ...ReadonlyArray<Wrong>]
        const [first = "", ...rest] = args
        const words = [first, ...verb.split(" ").slice(1), "--json", ...rest.slice(verb.split(" ").length - 1)]
        const isProcess = jsonProcesses.has(verb) || Object.keys(env).length > 0
        return Effect.map(
          isProcess ? run(words, { env }) : runInProcess(words, { oneAtATime: true }),
          ({ code, err, out }) => {
            assert.deepStrictEqual({ code, out }, { code: 2, out: "" }, err)
            const { error } = JSON.parse(err)
            assert.strictEqual(error.exitCode, 2)
            assert.isString(error.tag)
            // Verbs without output have no such flag, and say that.
            if (!error.message.includes("--json")) assert.match(error.message, says)
          }
        ).pipe(Effect.provide(NodeServices.layer))
      },
      300_000
    )
  }
})

describe("help", () => {
  it.live(
    "of the whole lists every command; of each command it has a usage line and an example",
    () =>
      Effect.gen(function*() {
        const root = yield* run(["--help"])
        assert.strictEqual(root.code, 0)
        for (const verb of documented) assert.match(root.out, new RegExp(`^  ${verb.split(" ")[0]} `, "m"))
        assert.deepStrictEqual(
          yield* run(["lease", "grant", "--help"]),
          yield* runInProcess(["lease", "grant", "--help"])
        )
        yield* Effect.forEach(documented, (verb) =>
          Effect.map(runInProcess([...verb.split(" "), "--help"]), ({ code, err, out }) => {
            assert.strictEqual(code, 0)
            assert.strictEqual(err, "")
            assert.include(out, `flaredb ${verb}`)
            assert.match(out, /EXAMPLES/)
            // A Boolean flag without an optional value would take the next word for its value.
            const [, flags = ""] = /^FLAGS\n([^]*?)\n\n/m.exec(out) ?? []
            assert.notMatch(flags, /^ +--[\w-]+(?:, -\w)? {2,}/m, `flaredb ${verb}: a flag of src/cli/input/Switch.ts`)
            // What holds when a flag is not given.
            for (
              const flag of flags.split("\n").filter((line) =>
                !line.includes("[=boolean]")
              )
            ) {
              assert.match(flag, /^$|default|required|when (?:it is )?left out/, `flaredb ${verb}`)
            }
          }), { concurrency: 2, discard: true })
      }).pipe(Effect.provide(NodeServices.layer)),
    240_000
  )
})
