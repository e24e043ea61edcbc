/** A port listens on every address of its host, and whoever connects tries every one. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { connect, createServer } from "node:net"
import { HostNames } from "../../src/net/HostNames.ts"
import { formatBound, listen } from "../../src/net/Listening.ts"
import { freePorts } from "../FreePorts.ts"

class SystemError extends Error {
  readonly code: string
  constructor(code: string) {
    super(`listen ${code}`)
    this.code = code
  }
}

/** Listens on `localhost`, where the system answers each attempt as `answer` says. */
const listening = (port: number, answer: (address: string, port: number) => number | string) => {
  const open = new Set<string>()
  const asked: Array<string> = []
  const bind = (address: string, wanted: number) =>
    Effect.acquireRelease(
      Effect.suspend(() => {
        const got = answer(address, wanted)
        asked.push(`${address} ${wanted}`)
        if (typeof got === "string") return Effect.fail(new SystemError(got))
        const server = `${address} ${got}`
        open.add(server)
        return Effect.succeed({ port: got, server })
      }),
      ({ server }) => Effect.sync(() => open.delete(server))
    )
  return { asked, open, listen: listen({ name: "client", host: "localhost", port }, bind) }
}

const refused = (effect: ReturnType<typeof listening>["listen"]) => Effect.flip(Effect.scoped(effect))

describe("a port of a node at localhost", () => {
  it.effect("listens on 127.0.0.1 and ::1, under the number that the system chose for the first", () =>
    Effect.gen(function*() {
      const { asked, listen, open } = listening(0, (_, port) => port === 0 ? 4_000 : port)
      yield* Effect.scoped(Effect.gen(function*() {
        const { bound, servers } = yield* listen
        assert.deepStrictEqual(bound, { host: "localhost", port: 4_000, addresses: ["127.0.0.1", "::1"] })
        assert.strictEqual(formatBound(bound), "127.0.0.1:4000 and [::1]:4000")
        assert.deepStrictEqual(servers, [...open])
        assert.lengthOf(servers, 2)
      }))
      assert.deepStrictEqual(asked, ["127.0.0.1 0", "::1 4000"])
      assert.strictEqual(open.size, 0)
    }))

  for (const [absent, left] of [["::1", "127.0.0.1"], ["127.0.0.1", "::1"]] as const) {
    it.effect(`listens on ${left} where the machine has no ${absent}`, () =>
      Effect.gen(function*() {
        const { listen } = listening(7_001, (address, port) => address === absent ? "EADDRNOTAVAIL" : port)
        const { bound } = yield* Effect.scoped(listen)
        assert.deepStrictEqual(bound.addresses, [left])
      }))
  }

  it.effect("is refused when it has none of the addresses, and when one of them is in use", () =>
    Effect.gen(function*() {
      const none = yield* refused(listening(7_001, () => "EADDRNOTAVAIL").listen)
      assert.match(none.message, /^cannot listen on the client address 127\.0\.0\.1:7001 \(localhost\): EADDRNOTAVAIL/)
      const { listen, open } = listening(7_001, (address, port) => address === "::1" ? "EADDRINUSE" : port)
      const used = yield* refused(listen)
      assert.match(used.message, /^the client address \[::1\]:7001 \(localhost\) is in use; stop the process/)
      assert.strictEqual(open.size, 0)
    }))

  it.effect("takes another number when the one that the system chose is in use on the second address", () =>
    Effect.gen(function*() {
      let next = 4_000
      const { listen, open } = listening(
        0,
        (address, port) => address === "127.0.0.1" ? next++ : port < 4_003 ? "EADDRINUSE" : port
      )
      yield* Effect.scoped(Effect.gen(function*() {
        assert.strictEqual((yield* listen).bound.port, 4_003)
        assert.deepStrictEqual([...open], ["127.0.0.1 4003", "::1 4003"])
      }))
      const never = listening(0, (address) => address === "127.0.0.1" ? 4_000 : "EADDRINUSE")
      assert.match((yield* refused(never.listen)).message, /is in use/)
      assert.lengthOf(never.asked, 20)
    }))
})

describe("whoever connects", () => {
  it("tries every address of a name", async () => {
    // The system may give out a number on one address that another process listens on at the other.
    const [port = 0] = await Effect.runPromise(freePorts(1))
    const server = createServer((socket) => socket.end()).listen(port, "127.0.0.3")
    await new Promise((resolve) => server.once("listening", resolve))
    const names = new HostNames(async () =>
      ["127.0.0.1", "127.0.0.2", "127.0.0.3"].map((address) => ({ address, family: 4 }))
    )
    const socket = connect({ host: "db.example", port, lookup: names.lookup as never })
    await new Promise((resolve, reject) => socket.once("connect", resolve).once("error", reject))
    assert.strictEqual(socket.remoteAddress, "127.0.0.3")
    socket.destroy()
    server.close()
  })

  it("finds both addresses of localhost without a look-up", async () => {
    const names = new HostNames(() => Promise.reject(new Error("looked up")))
    const found = await new Promise((resolve) =>
      names.lookup("localhost", { all: true }, (error, addresses) => resolve(error ?? addresses))
    )
    assert.deepStrictEqual(found, [{ address: "127.0.0.1", family: 4 }, { address: "::1", family: 6 }])
  })
})
