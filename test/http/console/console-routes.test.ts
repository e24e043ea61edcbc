/** What a node answers its console: keys, history and changes of them, over a cluster of one in memory. */
import { assert, describe, layer } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
import { request } from "node:http"
import { AuditLog } from "../../../src/callers/AuditLog.ts"
import * as FlareDb from "../../../src/FlareDb.ts"
import { KeyValue } from "../../../src/client/KeyValue.ts"
import { Leases } from "../../../src/client/Lease.ts"
import { Locks } from "../../../src/client/Lock.ts"
import type { ClientServices } from "../../../src/client/RemoteClient.ts"
import { ConsoleParts } from "../../../src/http/console/ConsoleParts.ts"
import * as ConsoleRoutes from "../../../src/http/console/ConsoleRoutes.ts"
import { pageNames } from "../../../src/http/console/KeyTree.ts"
import * as HttpServer from "../../../src/http/HttpServer.ts"
import { RaftNode } from "../../../src/node/RaftNode.ts"
import { eventually } from "../../Eventually.ts"
import { putUser } from "../../server/PortClients.ts"

const host = "127.0.0.1"

interface Asked {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

const ask = (port: number, path: string, { body = "", headers = {}, method = "GET" }: Asked = {}) =>
  Effect.callback<{ readonly status: number; readonly text: string; readonly json: ReturnType<typeof JSON.parse> }>(
    (resume) => {
      const length = { "content-length": String(Buffer.byteLength(body)) }
      const sent = request(
        { host, port, path, method, agent: false, headers: { ...length, ...headers } },
        (response) => {
          let text = ""
          response.setEncoding("utf8").on("data", (part: string) => {
            text += part
          }).on("end", () => {
            const isJson = response.headers["content-type"]?.startsWith("application/json") === true
            resume(
              Effect.succeed({ status: response.statusCode ?? 0, text, json: isJson ? JSON.parse(text) : undefined })
            )
          })
        }
      )
      sent.on("error", (error) => resume(Effect.die(error)))
      sent.end(body)
      return Effect.sync(() => sent.destroy())
    }
  )

const json = (value: unknown, headers: Readonly<Record<string, string>>): Asked => ({
  method: "POST",
  headers: { "content-type": "application/json", ...headers },
  body: JSON.stringify(value)
})

const served = (callers?: HttpServer.HttpCallers) =>
  Layer.unwrap(Effect.map(
    Effect.context<ClientServices | RaftNode | ConsoleParts>(),
    (services) =>
      HttpServer.layer(
        { clusterId: "memory", listen: { host, port: 0 }, callers },
        Layer.provide(
          ConsoleRoutes.layer({ endpoints: [], dial: undefined, maxFrameMs: 30_000 }),
          Layer.succeedContext(services)
        )
      )
  )).pipe(Layer.provideMerge(FlareDb.layerMemory), Layer.provideMerge(ConsoleParts.layer))

const Live = served()

const encode = (text: string): string => Buffer.from(text).toString("base64")
const decode = (text: string): string => Buffer.from(text, "base64").toString()

const own = { "x-flaredb-console": "1" }

const answer = (name: string, payload: unknown = {}, headers: Readonly<Record<string, string>> = own) =>
  Effect.flatMap(HttpServer.HttpAddress, ({ port }) => ask(port, `/console/calls/${name}`, json(payload, headers)))

/** The answer to a call that succeeds. */
const call = (name: string, payload: unknown = {}) =>
  Effect.map(answer(name, payload), ({ json, status, text }) => {
    assert.strictEqual(status, 200, `${name}: ${text}`)
    return json
  })

/** Reads server-sent events until `enough` says so. */
const events = (
  path: string,
  enough: (text: string) => boolean,
  begun: () => void = () => undefined,
  headers: Readonly<Record<string, string>> = {}
) =>
  Effect.flatMap(HttpServer.HttpAddress, ({ port }) =>
    Effect.callback<string>((resume) => {
      let text = ""
      const sent = request({ host, port, path, headers, agent: false }, (response) => {
        response.setEncoding("utf8").on("data", (part: string) => {
          if (text === "") begun()
          text += part
          if (!enough(text)) return
          sent.destroy()
          resume(Effect.succeed(text))
        })
      })
      sent.on("error", () => undefined)
      sent.end()
      return Effect.sync(() => sent.destroy())
    }))

describe("the console of a node", () => {
  layer(Live, { excludeTestServices: true })((it) => {
    it.effect("says who asks and what there is to see", () =>
      Effect.gen(function*() {
        const parts = yield* ConsoleParts
        yield* parts.add({ name: "sums", call: (name) => name === "one" ? Effect.succeed({ sum: 1 }) : undefined })
        assert.deepEqual(yield* call("whoami"), { name: null, overview: true, keys: true, parts: ["sums"] })
        assert.deepEqual(yield* call("sums/one"), { sum: 1 })
        for (const unknown of ["sums/two", "others/one", "nothing", "constructor", "__proto__"]) {
          assert.strictEqual((yield* answer(unknown)).status, 404, unknown)
        }
      }).pipe(Effect.scoped))

    it.effect("shows keys as a tree, each folder once however many keys it has, page by page", () =>
      Effect.gen(function*() {
        const kv = yield* KeyValue
        const leaves = Array.from({ length: pageNames + 5 }, (_, at) => `tree/m${String(at).padStart(3, "0")}`)
        const inFolder = Array.from({ length: 150 }, (_, at) => `tree/a/${at}`)
        yield* Effect.forEach(
          [...leaves, ...inFolder, "tree/a", "tree/a0", "tree/", "tree/b/c/d", "tree/z"],
          (key) => kv.put(key, ""),
          { concurrency: "unbounded" }
        )
        yield* kv.put(Uint8Array.of(...Buffer.from("tree/"), 0xff, 0x2f, 0xfe), "")
        const found: Array<readonly [string, boolean]> = []
        let cursor: string | null = null
        let pages = 0
        do {
          const page: { names: Array<{ key: string; folder: boolean }>; cursor: string | null } = yield* call("tree", {
            prefix: encode("tree/"),
            ...cursor === null ? {} : { cursor }
          })
          found.push(
            ...page.names.map(({ folder, key }) => [Buffer.from(key, "base64").toString("latin1"), folder] as const)
          )
          cursor = page.cursor
          pages++
          assert.isAtMost(page.names.length, pageNames)
        } while (cursor !== null)
        assert.deepEqual(found, [
          ["tree/", false],
          ["tree/a", false],
          ["tree/a/", true],
          ["tree/a0", false],
          ["tree/b/", true],
          ...leaves.map((key) => [key, false] as const),
          ["tree/z", false],
          ["tree/\xff/", true]
        ])
        assert.strictEqual(pages, 2)
      }))

    it.effect("shows the value of a key, and what it held before, back to where it was created", () =>
      Effect.gen(function*() {
        const kv = yield* KeyValue
        assert.isNull(yield* call("get", { key: encode("h/k"), whole: false }))
        yield* kv.put("h/k", "zero")
        yield* kv.delete("h/k")
        for (let n = 1; n <= 45; n++) {
          yield* kv.put("h/k", `value ${n}`)
          yield* kv.put("h/other", "")
        }
        const now = yield* call("get", { key: encode("h/k"), whole: false })
        assert.strictEqual(decode(now.value), "value 45")
        assert.strictEqual(now.version, 45)
        const values: Array<string> = []
        let before: number | null = null
        let last
        do {
          const page: { versions: Array<{ value: string; revision: number }>; before: number | null; ends: string } =
            yield* call("history", { key: encode("h/k"), ...before === null ? {} : { before } })
          values.push(...page.versions.map(({ value }) => decode(value)))
          before = page.before
          last = page
        } while (before !== null)
        assert.deepEqual(values, Array.from({ length: 45 }, (_, at) => `value ${45 - at}`))
        assert.strictEqual(last?.ends, "created")
      }))

    it.effect("puts and deletes a key as it was shown, keeps its lease, and writes over nothing of others", () =>
      Effect.gen(function*() {
        const kv = yield* KeyValue
        const leases = yield* Leases
        const { id } = yield* leases.grant(60_000)
        yield* kv.put("w/k", "a", { lease: id })
        const shown = yield* call("get", { key: encode("w/k"), whole: false })
        const put = { key: encode("w/k"), value: encode("b"), revision: shown.modRevision }
        const { revision } = yield* call("put", put)
        assert.deepInclude(yield* call("get", { key: encode("w/k"), whole: false }), {
          lease: id,
          modRevision: revision
        })
        const late = yield* answer("put", { ...put, value: encode("c") })
        assert.deepInclude(late, { status: 412 })
        assert.strictEqual(late.json.tag, "Conflict")
        assert.strictEqual((yield* answer("delete", { key: encode("w/k"), revision: shown.modRevision })).status, 412)
        yield* call("delete", { key: encode("w/k"), revision })
        assert.isNull(yield* call("get", { key: encode("w/k"), whole: false }))
        // A key that is created must not be there yet.
        yield* call("put", { ...put, revision: 0 })
        assert.strictEqual((yield* answer("put", { ...put, revision: 0 })).status, 412)
      }))

    it.effect("shows leases, locks with who waits, and sessions, and ends them", () =>
      Effect.gen(function*() {
        const locks = yield* Locks
        yield* locks.acquire("a lock/with a slash", { owner: "first" })
        const waiting = yield* Effect.forkScoped(locks.acquire("a lock/with a slash", { owner: "second" }))
        void waiting
        const untilTwo = Effect.flatMap(call("locks"), ({ lines }) =>
          lines[0]?.waiting.length === 1 ? Effect.succeed(lines) : Effect.fail("not yet"))
        const [line] = yield* Effect.eventually(untilTwo)
        assert.strictEqual(line.name, "a lock/with a slash")
        assert.strictEqual(line.holder.owner, "first")
        assert.strictEqual(line.waiting[0].owner, "second")
        const { leases } = yield* call("leases")
        assert.include(
          leases.map(({ id }: { id: number }) =>
            id
          ),
          line.holder.lease
        )
        assert.lengthOf((yield* call("lease", { id: line.holder.lease })).keys, 1)
        assert.deepEqual(yield* call("revoke", { id: line.holder.lease }), { deleted: 1 })
        const next = yield* Effect.eventually(
          Effect.flatMap(
            call("locks"),
            ({ lines }) => lines[0]?.holder.owner === "second" ? Effect.succeed(lines[0]) : Effect.fail("not yet")
          )
        )
        assert.isAbove(next.holder.revision, line.holder.revision)
        const { sessions } = yield* call("sessions", { after: 0 })
        assert.isAtLeast(sessions.length, 1)
        yield* call("endSession", { id: sessions[0].session })
      }).pipe(Effect.scoped))

    it.effect("streams the cluster, and the changes of a prefix with what they replaced", () =>
      Effect.gen(function*() {
        const kv = yield* KeyValue
        const [, data = ""] = /^data: (.*)$/m.exec(yield* events("/console/events", (text) => text.includes("\n\n"))) ??
          []
        const [sample] = JSON.parse(data)
        assert.strictEqual(sample.leader, 1)
        // The metrics of this process are those of other tests too, whose tables are small and full.
        const ids = sample.warnings.map(({ id }: { readonly id: string }) => id)
        assert.deepEqual(ids.filter((id: string) => !id.startsWith("table ")), [])
        yield* kv.put("s/k", "before")
        const context = yield* Effect.context<never>()
        const put = () => void Effect.runForkWith(context)(kv.put("s/k", "after"))
        const text = yield* events(`/console/watch?prefix=${encodeURIComponent(encode("s/"))}`, (text) =>
          text.includes("event: changes") && text.endsWith("\n\n"), put)
        const [change] = JSON.parse(/^event: changes\ndata: (.*)$/m.exec(text)?.[1] ?? "").changes
        assert.strictEqual(change.type, "put")
        assert.strictEqual(decode(change.value), "after")
        assert.strictEqual(decode(change.previous.value), "before")
      }))

    it.effect("takes no call that another page could have made", () =>
      Effect.gen(function*() {
        const kv = yield* KeyValue
        yield* kv.put("x", "safe")
        const put = { key: encode("x"), value: encode("stolen"), revision: 0 }
        for (
          const headers of [
            {},
            { ...own, "sec-fetch-site": "cross-site" },
            { ...own, "sec-fetch-site": "same-site" },
            { ...own, host: "attacker.example" }
          ]
        ) {
          const { status } = yield* answer("put", put, headers)
          assert.include([403, 421], status, JSON.stringify(headers))
        }
        assert.strictEqual((yield* answer("put", put, { ...own, "sec-fetch-site": "same-origin" })).status, 412)
      }))

    it.effect("streams nothing to a page of another site", () =>
      Effect.gen(function*() {
        const { port } = yield* HttpServer.HttpAddress
        for (const path of ["/console/events", "/console/watch"]) {
          for (const headers of [{ "sec-fetch-site": "cross-site" }, { origin: "https://elsewhere.example" }]) {
            const { json: refused, status } = yield* ask(port, path, { headers })
            assert.deepStrictEqual([status, refused.tag], [403, "CrossSite"])
          }
        }
      }))

    it.effect("refuses what is no call with what is wrong", () =>
      Effect.gen(function*() {
        const { port } = yield* HttpServer.HttpAddress
        const raw = (body: string, headers = {}) =>
          ask(port, "/console/calls/get", { method: "POST", headers: { ...own, ...headers }, body })
        assert.strictEqual((yield* raw("{")).status, 400)
        assert.strictEqual((yield* raw("x".repeat(2 * 1024 * 1024 + 1))).status, 400)
        for (
          const payload of [null, [], {}, { key: 1, whole: true }, { key: "§", whole: true }, { key: encode("a") }]
        ) {
          const { json, status } = yield* answer("get", payload)
          assert.strictEqual(status, 400, JSON.stringify(payload))
          assert.strictEqual(json.tag, "InvalidArgument")
        }
        assert.strictEqual((yield* answer("get", { key: "", whole: false })).status, 400)
        assert.strictEqual((yield* answer("tree", { prefix: encode("a"), cursor: encode("b") })).status, 400)
        assert.strictEqual((yield* ask(port, "/console/watch?prefix=%C2%A7")).status, 400)
        assert.strictEqual((yield* answer("lease", { id: 123_456 })).status, 404)
      }))
  })
})

describe("the console of a cluster without users", () => {
  const token = "a-text-of-the-operators-own-32-digits"
  let audited = ""
  const file = {
    append: (lines: string) =>
      Effect.sync(() => {
        audited += lines
      }),
    close: Effect.void
  }
  const options = { file: "audit", events: "writes", strict: false, nodeId: 1 } as const
  const secured = Layer.unwrap(Effect.map(
    AuditLog.make(options, () => Effect.succeed(file)),
    (audit) => served({ clientAuth: "token", bootstrapToken: Redacted.make(token), audit })
  ))
  layer(secured, { excludeTestServices: true })((it) => {
    it.effect("ends the overview that its bootstrap token opened with the first user, and writes it down", () =>
      Effect.gen(function*() {
        const node = yield* RaftNode
        const context = yield* Effect.context<never>()
        const text = yield* events(
          "/console/events",
          (seen) => seen.includes("event: failure") && seen.endsWith("\n\n"),
          () => void Effect.runForkWith(context)(putUser(node, "shop", [])),
          { authorization: `Bearer ${token}` }
        )
        const [, data = ""] = /^event: failure\ndata: (.*)$/m.exec(text) ?? []
        assert.strictEqual(JSON.parse(data).tag, "Unauthenticated")
        yield* eventually("its line of the audit log", () => audited !== "")
        assert.deepInclude(JSON.parse(audited), {
          name: "admin",
          operation: "HTTP /console/events",
          outcome: "refused: Unauthenticated"
        })
      }))
  })
})
