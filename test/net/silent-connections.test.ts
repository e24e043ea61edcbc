/** Which connection gives way when a port is full of such that said no `Hello`. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Connections, defaultConnectionLimits } from "../../src/net/Connections.ts"
import { ProtocolViolations } from "../../src/net/ProtocolViolations.ts"
import { countedAddress } from "../../src/net/SilentConnections.ts"

/** A port with room for 100, and how a connection comes to it. */
const port = Effect.gen(function*() {
  const violations = yield* ProtocolViolations.make("client")
  const connections = new Connections(violations, { ...defaultConnectionLimits, maxConnections: 100 }, 1_024)
  let remotePort = 0
  const connect = (remoteAddress: string) => {
    const state = { closed: false }
    const guarded = connections.accept({
      remoteAddress,
      remotePort: ++remotePort,
      destroy: () => {
        state.closed = true
      }
    })
    if (guarded === undefined) throw new Error("there is no room")
    return { state, admit: () => connections.admit(guarded) }
  }
  return { connections, connect }
})

const stranger = "192.0.2.1"
const client = "192.0.2.2"

describe("a client that is about to say its Hello", () => {
  it.effect("keeps its connection, however many a stranger opens meanwhile", () =>
    Effect.gen(function*() {
      const { connect, connections } = yield* port
      for (let i = 0; i < 100; i++) connect(stranger)
      const own = connect(client)
      for (let i = 0; i < 10_000; i++) connect(stranger)
      assert.isFalse(own.state.closed)
      own.admit()
      assert.strictEqual(connections.size, 100)
    }))

  it.effect("keeps it among strangers of many addresses, where a client came from before", () =>
    Effect.gen(function*() {
      const { connect } = yield* port
      connect(client).admit()
      const own = connect(client)
      for (let i = 0; i < 10_000; i++) connect(`198.51.${i >> 8}.${i & 255}`)
      assert.isFalse(own.state.closed)
    }))

  it.effect("loses it to no address that has fewer", () =>
    Effect.gen(function*() {
      const { connect } = yield* port
      const crowd = Array.from({ length: 100 }, () => connect(stranger))
      for (let i = 0; i < 40; i++) connect(`198.51.100.${i}`)
      assert.strictEqual(crowd.filter(({ state }) => state.closed).length, 40, "the crowd gives way, the oldest first")
      assert.isTrue(crowd[39]?.state.closed)
    }))
})

it("counts by what one customer has", () => {
  assert.strictEqual(countedAddress(undefined), "unknown")
  assert.strictEqual(countedAddress("192.0.2.1"), "192.0.2.1")
  assert.strictEqual(countedAddress("::ffff:192.0.2.1"), "192.0.2.1")
  assert.strictEqual(countedAddress("2001:db8::1"), "2001:db8:0:0::/64")
  assert.strictEqual(countedAddress("2001:DB8:0:1:2:3:4:5"), "2001:db8:0:1::/64")
  assert.strictEqual(countedAddress("fe80::1%eth0"), "fe80:0:0:0::/64")
  assert.strictEqual(countedAddress("::1"), "0:0:0:0::/64")
})
