/** `flaredb actors …` and the status page, beside a runner that is a process of its own, and after it was killed. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Context, Effect, Layer, Schedule, Schema } from "effect"
import { Snowflake } from "effect/cluster"
import { PersistedQueue } from "effect/persistence"
import { Actors, HeldShards, layerPersistedQueue, makeEncodedMessageStorage, Overview } from "../../src/actors/index.ts"
import { eventually } from "../Eventually.ts"
import { runInProcess } from "../processes/cli/InProcess.ts"
import { Counter, Later } from "../actors/Counter.ts"
import * as Cluster from "./Cluster.ts"
import { freePorts } from "../FreePorts.ts"
import { startRunner } from "./RunnerProcess.ts"

const runner = (endpoints: string, port: number) =>
  startRunner("./ActorRunner.ts", [endpoints, String(port)], {
    // Messages for entities that nobody has would get a defect as their reply after a minute.
    env: { ENTITY_REGISTRATION_TIMEOUT: "1 hour" }
  })

/** What differs from run to run. */
const differs = /^(?:token|.*Ms|reason)$/

/** Lines of JSON, with `#` for what differs from run to run. */
const lines = (out: string): ReadonlyArray<unknown> =>
  out.split("\n").filter((line) => line !== "").map((line) =>
    JSON.parse(line, (name, value: unknown) => differs.test(name) && value !== null ? "#" : value)
  )

/** Words of a table, line by line. */
const words = (out: string): ReadonlyArray<ReadonlyArray<string>> =>
  out.trimEnd().split("\n").map((line) => line.split(/ {2,}/))

it.live("what waits, who has it, and what is done about it", () =>
  Effect.gen(function*() {
    const cluster = yield* Cluster.make(1)
    yield* Cluster.start(cluster)
    const [port = 0] = yield* freePorts(1)
    const address = `127.0.0.1:${port}`
    const child = yield* runner(cluster.endpointList, port)
    const flaredb = (...args: ReadonlyArray<string>) =>
      Effect.provide(
        runInProcess(["actors", ...args], {
          env: { FLAREDB_ENDPOINTS: cluster.endpointList, FLAREDB_TIMEOUT_MS: "20000" },
          oneAtATime: true
        }),
        NodeServices.layer
      )
    const printed = (...args: ReadonlyArray<string>) =>
      Effect.map(flaredb(...args), ({ code, err, out }) => {
        assert.deepStrictEqual([code, err], [0, ""], args.join(" "))
        return out
      })
    const json = (...args: ReadonlyArray<string>) => Effect.map(printed(...args, "--json"), lines)

    yield* Effect.gen(function*() {
      const overview = yield* Overview
      const counter = (yield* Counter.client)("one")
      yield* counter.Later(new Later({ id: "l", atMs: Date.now() + 3_600_000 }), { discard: true })
      const { encoded } = yield* Effect.provide(
        makeEncodedMessageStorage({}),
        Layer.merge(HeldShards.layer, Snowflake.layerGenerator)
      )
      for (const id of ["1000", "1001"]) {
        yield* encoded.saveEnvelope({
          envelope: {
            _tag: "Request",
            requestId: id,
            address: { shardId: { group: "default", id: 7 }, entityType: "Ghost", entityId: "g" },
            tag: "Haunt",
            payload: {},
            headers: {}
          },
          primaryKey: `Ghost/g/Haunt/${id}`,
          deliverAt: null
        })
      }
      const queues = yield* Layer.build(layerPersistedQueue())
      const queue = yield* Context.get(queues, PersistedQueue.PersistedQueueFactory).make({
        name: "mails",
        schema: Schema.String,
        maxAttempts: 1,
        retrySchedule: Schedule.spaced(1)
      })
      for (const id of ["welcome/ada", "welcome/bob"]) {
        yield* queue.offer(id, { id })
        yield* Effect.flip(queue.take(() => Effect.fail(`no route to ${id}`)))
      }
      yield* queue.offer("later", { id: "later", delay: "1 hour" })

      yield* eventually(
        "the runner has all shards",
        Effect.map(overview.runners, ([one]) => one?.shards === 300)
      )
      assert.deepStrictEqual(yield* json("runners"), [{
        address,
        registered: true,
        healthy: true,
        groups: ["default"],
        weight: 1,
        machineId: 0,
        shards: 300,
        refreshedAgoMs: "#",
        endsInMs: "#"
      }])
      const shards = yield* printed("shards")
      assert.include(shards, "300 shards, 0 without owner")
      assert.deepStrictEqual((yield* json("shards"))[6], {
        shard: "default:7",
        owner: address,
        token: "#",
        refreshedAgoMs: "#",
        endsInMs: "#",
        messages: 2,
        atLeast: false,
        oldestMs: "#"
      })
      assert.deepStrictEqual(yield* json("entities", "--type", "Ghost"), [{
        type: "Ghost",
        id: "g",
        shard: "default:7",
        owner: address,
        waiting: 2,
        delayed: 0,
        oldestMs: "#"
      }])
      const limited = yield* flaredb("entities", "--limit", "1")
      assert.strictEqual(limited.err, "1 more entities have 1 messages; --limit prints more of them\n")
      assert.deepStrictEqual(words(limited.out).map((row) => row.slice(0, 6)), [
        ["TYPE", "ENTITY", "SHARD", "OWNER", "WAITING", "DELAYED"],
        ["Ghost", "g", "default:7", address, "2", "0"]
      ])
      const message = { tag: "Haunt", state: "waiting", shard: "default:7", sentMs: "#" }
      assert.deepStrictEqual(yield* json("messages", "Ghost", "g"), [
        { id: "1000", interrupted: false, ...message },
        { id: "1001", interrupted: false, ...message }
      ])
      assert.strictEqual(
        yield* printed("interrupt", "message", "1000"),
        "message 1000 is interrupted as soon as it is due and its runner reads it\n"
      )
      const first = yield* flaredb("messages", "Ghost", "g", "--limit", "1")
      assert.deepStrictEqual(words(first.out)[1]?.slice(-1), ["yes"])
      assert.strictEqual(first.err, "there are more; give a larger --limit, or leave it out\n")
      const missing = yield* flaredb("interrupt", "message", "17")
      assert.deepStrictEqual(missing, {
        code: 3,
        out: "",
        err: "flaredb: no message 17 waits: it has its reply, was cleared, or never was\n"
      })

      assert.deepStrictEqual(words(yield* printed("queues")).map((row) => row.filter((_, i) => i !== 5 && i < 8)), [
        ["QUEUE", "WAITING", "DELAYED", "CLAIMED", "ABANDONED", "DEAD LETTERS", "DONE"],
        ["mails", "0", "1", "0", "0", "2", "0"]
      ])
      assert.deepStrictEqual(yield* json("dead-letters", "mails", "--limit", "5"), [
        { id: "welcome/ada", failedMs: "#", attempts: 1, reason: "#", element: "\"welcome/ada\"" },
        { id: "welcome/bob", failedMs: "#", attempts: 1, reason: "#", element: "\"welcome/bob\"" }
      ])
      assert.match(yield* printed("dead-letters", "mails"), /^welcome\/bob +\S+ +1 +.*no route to welcome\/bob/m)
      assert.strictEqual(yield* printed("retry", "mails", "welcome/ada"), "retried welcome/ada\n")
      const again = yield* queue.take((mail, { attempts, id }) => Effect.succeed([id, mail, attempts]))
      assert.deepStrictEqual(again, ["welcome/ada", "welcome/ada", 1])
      assert.deepStrictEqual(yield* json("drop", "mails", "--all"), [{ queue: "mails", dropped: 1, skipped: 0 }])

      assert.strictEqual(words(yield* printed("workflows")).length, 1)
      assert.deepStrictEqual(yield* json("singletons"), [])
      const none = yield* flaredb("interrupt", "workflow", "Order", "none", "--json")
      assert.strictEqual(JSON.parse(none.err).error.tag, "NoSuchWorkflow")

      const http = `http://127.0.0.1:${cluster.node(1).address.httpPort}`
      const status = Effect.promise(async () =>
        (await (await fetch(`${http}/status`)).json()) as {
          readonly actors: { readonly messages?: unknown; readonly shardsWithoutOwner?: unknown }
        }
      )
      yield* eventually(
        "the node has read it",
        Effect.map(status, ({ actors }) => actors.messages !== undefined)
      )
      assert.deepInclude((yield* status).actors, { messages: { count: 3, atLeast: false }, shardsWithoutOwner: [] })
      const page = yield* Effect.promise(async () => (await fetch(`${http}/plain`)).text())
      assert.include(page, `<th>${address}</th><td>healthy, 300 shards</td>`)

      yield* child.kill({ killSignal: "SIGKILL" })
      yield* eventually(
        "its shards have no owner",
        Effect.map(overview.runners, (left) => left.length === 0)
      )
      assert.lengthOf(yield* json("shards", "--without-owner"), 2)
      assert.include(yield* printed("messages", "Ghost", "g"), "no owner")
      const would = yield* flaredb("clear", "Ghost", "g")
      assert.strictEqual(would.code, 2)
      assert.include(would.err, "this would forget 2 messages of Ghost g, 2 of them without a reply")
      assert.strictEqual(
        yield* printed("clear", "Ghost", "g", "--yes"),
        "forgot 2 messages of Ghost g, 2 of them without a reply\n"
      )
      assert.notInclude(yield* printed("entities"), "Ghost")
    }).pipe(
      Effect.scoped,
      Effect.provide(Layer.provideMerge(Overview.layer(), Actors.layerClientOnly({ endpoints: cluster.endpoints })))
    )
  }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)), 400_000)
