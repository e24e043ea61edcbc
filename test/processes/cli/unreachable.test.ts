/**
 * Every verb against endpoints where nobody listens: it answers after a few attempts, and not after its timeout. The
 * table has all verbs of the command line, so that a new one has to say which kind it is. How a process ends behind its
 * verb is the same for all of them: those of each kind are processes, the others are carried out in this one.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { afterAll, assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { freePorts } from "../../FreePorts.ts"
import { waitMs } from "../../Eventually.ts"
import { run } from "./CommandLine.ts"
import { runInProcess } from "./InProcess.ts"
import { verbs } from "./Verbs.ts"

/** For backups, which are not made when no node answers. */
const folder = mkdtempSync(join(tmpdir(), "flaredb-test-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** What a verb is given behind its flags; `undefined` for those that talk to no running cluster. */
const talks: Readonly<Record<string, ReadonlyArray<string> | undefined>> = {
  put: ["key", "value"],
  get: ["key"],
  delete: ["key"],
  scan: [],
  count: [],
  txn: ["--do", "get key"],
  watch: [],
  compact: [],
  "lease grant": ["60s"],
  "lease keep-alive": ["17"],
  "lease revoke": ["17"],
  "lease ttl": ["17"],
  "lease list": [],
  lock: ["name", "--", "true"],
  elect: ["name", "value"],
  "session list": [],
  "session end": ["17"],
  "actors runners": [],
  "actors shards": [],
  "actors entities": [],
  "actors messages": ["Type", "id"],
  "actors queues": [],
  "actors dead-letters": ["queue"],
  "actors retry": ["queue", "id"],
  "actors drop": ["queue", "id"],
  "actors workflows": [],
  "actors singletons": [],
  "actors interrupt message": ["17"],
  "actors interrupt workflow": ["name", "execution"],
  "actors clear": ["Type", "id"],
  // It connects to the database that it reads before.
  "actors migrate": undefined,
  // It connects to etcd before.
  "import etcd": undefined,
  status: [],
  "transfer-leader": [],
  backup: ["never-written"],
  "backups run": ["--once", "--dir", folder],
  "backups list": undefined,
  "backups verify": undefined,
  "backups drill": undefined,
  "backups at": undefined,
  top: ["--once"],
  // They tell of each node that it cannot be reached, and go on.
  doctor: undefined,
  "support-bundle": undefined,
  reclaim: undefined,
  "upgrade directory": undefined,
  verify: [],
  "access role put": ["reader", "--read", "a/"],
  "access role delete": ["reader"],
  "access role list": [],
  "access user put": ["shop"],
  "access user delete": ["shop"],
  "access user list": [],
  "access token create": ["shop"],
  "access token remove": ["shop", "17"],
  "access whoami": [],
  // They work on files, or look at one port.
  "cert ca": undefined,
  "cert node": undefined,
  "cert client": undefined,
  "cert show": undefined,
  "cert check": undefined,
  "cert rotate-ca begin": undefined,
  "cert rotate-ca reissue": undefined,
  "cert rotate-ca finish": undefined,
  bench: [],
  "bench-load": undefined,
  cluster: undefined,
  "cluster version": [],
  "upgrade check": [],
  start: undefined,
  restore: undefined,
  inspect: undefined,
  replay: undefined,
  "config check": undefined,
  help: undefined
}

/** A read, a write, what goes on until it is stopped, what starts a program, what writes a file, and those of their own. */
const processes = new Set([
  "get",
  "put",
  "watch",
  "lock",
  "elect",
  "backup",
  "backups run",
  "top",
  "status",
  "doctor",
  "bench"
])

/** Far above the time of the test, within which a few attempts have to be over. */
const timeout = "1h"

describe("endpoints that refuse every connection", () => {
  it("are tried by every verb there is", () => {
    assert.deepStrictEqual(Object.keys(talks).sort(), verbs)
  })

  for (const [verb, args] of Object.entries(talks)) {
    if (args === undefined) continue
    it.live(`end ${verb} after a few attempts, with what each of them said`, () =>
      Effect.gen(function*() {
        const ports = yield* freePorts(3)
        const [one, two, three] = ports
        const endpoints = [`127.0.0.1:${one}`, `no-such-host.invalid:${two}`]
        const flags = verb === "bench"
          ? ["--nodes", `1=127.0.0.1:${one}:${two}:${three}`, "--json"]
          : ["--endpoints", endpoints.join(","), "--timeout", timeout, "--json"]
        const words = [...verb.split(" "), ...flags, ...args]
        const isProcess = processes.has(verb)
        const ended = yield* Effect.timeoutOption(
          isProcess ? run(words) : runInProcess(words, { oneAtATime: true }),
          waitMs()
        )
        if (Option.isNone(ended)) return assert.fail(`${verb} still tries`)
        const { code, err, out } = ended.value
        assert.strictEqual(code, 1, err)
        // These tell of each node, whether or not it can be reached.
        if (!["status", "cluster version", "upgrade check"].includes(verb)) assert.strictEqual(out, "")
        const { error } = JSON.parse(err)
        assert.strictEqual(error.exitCode, 1)
        assert.include(error.message, `127.0.0.1:${one}: no process listens there`)
        if (verb !== "bench") assert.include(error.message, "no-such-host.invalid")
      }).pipe(Effect.provide(NodeServices.layer)))
  }
})
