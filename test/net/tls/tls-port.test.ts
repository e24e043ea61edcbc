/** Ports with TLS over real TCP: who finds what where, limits on handshakes, and certificates that change under traffic. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Logger, References } from "effect"
import { connect as connectTcp, createServer } from "node:net"
import type { AddressInfo, Server, Socket } from "node:net"
import { connect as connectTls } from "node:tls"
import type { TLSSocket } from "node:tls"
import { describeFailure, isRefusedConnection, tlsRefusalOf } from "../../../src/net/CallFailure.ts"
import { defaultConnectionLimits } from "../../../src/net/Connections.ts"
import { connect } from "../../../src/net/TcpClient.ts"
import type { DialTls } from "../../../src/net/tls/Credentials.ts"
import { MemoryCredentials } from "../../../src/net/tls/Credentials.ts"
import { contextOptions } from "../../../src/net/tls/TlsContext.ts"
import { TlsPort } from "../../../src/net/tls/TlsPort.ts"
import { clientProtocol, httpProtocol, peerProtocol } from "../../../src/net/tls/TlsProtocol.ts"
import { eventually } from "../../Eventually.ts"
import { clientOf, nodeOf, TestAuthority } from "./TestCertificates.ts"
import { ask, dial, host, portTls, whoPort, WhoRpcs } from "./WhoPort.ts"

const authority = new TestAuthority("orders authority")
const nodeMaterial = authority.material(nodeOf(2))
const alice = authority.material(clientOf("alice"))

const dialTls = (material = alice): DialTls => ({ credentials: new MemoryCredentials(material), cluster: "orders" })

/** Gathers what is logged at "Warn" and above. */
const withLog = (lines: Array<string>) =>
  Effect.provide(
    Layer.merge(
      Logger.layer([Logger.make(({ message }) => void lines.push(String(message)))]),
      Layer.succeed(References.MinimumLogLevel, "Warn")
    )
  )

const socketOf = <S extends Socket>(open: () => S) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const socket = open()
      socket.on("error", () => undefined)
      return socket
    }),
    (socket) => Effect.sync(() => void socket.destroy())
  )

const closed = (socket: Socket): Effect.Effect<void> =>
  eventually("the port closes the connection", () => socket.closed)

describe("plain and TLS", () => {
  it.live("a plain caller reads why at a port with TLS, and is not called", () => {
    const lines: Array<string> = []
    return Effect.gen(function*() {
      const { calls, port } = yield* whoPort(portTls(nodeMaterial))
      const exit = yield* Effect.exit(ask(port))
      if (Exit.isSuccess(exit)) return assert.fail("a plain caller was let in")
      assert.strictEqual(tlsRefusalOf(exit.cause)?.reason, "plain")
      assert.include(describeFailure(exit.cause), "this port takes TLS only")
      assert.isTrue(isRefusedConnection(exit.cause))
      assert.include(lines.join(), "this port takes TLS only")
      assert.strictEqual(calls(), 0)
    }).pipe(withLog(lines))
  })

  it.live("a caller with TLS says what is wrong at a plain port, and the port does", () => {
    const lines: Array<string> = []
    return Effect.gen(function*() {
      const { port } = yield* whoPort(undefined)
      const exit = yield* Effect.exit(ask(port, dialTls()))
      if (Exit.isSuccess(exit)) return assert.fail("there is no TLS")
      assert.strictEqual(tlsRefusalOf(exit.cause)?.reason, "plain")
      assert.include(describeFailure(exit.cause), "is the port served without TLS?")
      assert.include(lines.join(), "it begins TLS, and this port is served without")
    }).pipe(withLog(lines))
  })

  for (const mode of ["accept", "dial"] as const) {
    it.live(`both get in while the mode is "${mode}"`, () =>
      Effect.gen(function*() {
        const { port } = yield* whoPort({ ...portTls(nodeMaterial), mode })
        assert.strictEqual(yield* ask(port), "plain")
        assert.strictEqual(yield* ask(port, dialTls()), "client alice")
        assert.strictEqual(yield* ask(port), "plain")
      }))
  }

  it.live("a certificate is asked for by no port that wants none", () =>
    Effect.gen(function*() {
      const { port } = yield* whoPort(portTls(nodeMaterial, "none"))
      assert.strictEqual(yield* ask(port, dialTls()), "anonymous")
    }))

  it.live("nodes are found by name and by address", () =>
    Effect.gen(function*() {
      const { port } = yield* whoPort(portTls(nodeMaterial))
      assert.strictEqual(yield* ask(port, dialTls(), "localhost"), "client alice")
    }))

  it.live("a caller that wants another port of a node learns that", () => {
    const lines: Array<string> = []
    return Effect.gen(function*() {
      const { port } = yield* whoPort(portTls(nodeMaterial))
      const calls = yield* connect(WhoRpcs, {
        host,
        port,
        openTimeoutMs: 2_000,
        tls: dialTls(),
        protocol: peerProtocol
      })
      const exit = yield* Effect.exit(calls.Who())
      if (Exit.isSuccess(exit)) return assert.fail("it is another protocol")
      assert.strictEqual(tlsRefusalOf(exit.cause)?.reason, "wrong-protocol")
      assert.include(describeFailure(exit.cause), "is it another port?")
      assert.include(lines.join(), "does not speak flaredb-client")
    }).pipe(withLog(lines))
  })
})

describe("a name of the protocol", () => {
  /** Whether a caller that names `names` is accepted at a port of HTTP. */
  const accepted = (names: ReadonlyArray<string> | undefined) =>
    Effect.gen(function*() {
      const tls = portTls(nodeMaterial)
      const port = new TlsPort({ tls, protocol: httpProtocol, nowMs: Date.now, onProblem: () => undefined })
      const raw = yield* Effect.acquireRelease(
        Effect.callback<{ readonly server: Server; readonly outcome: Promise<string> }>((resume) => {
          let told: (outcome: string) => void = () => undefined
          const outcome = new Promise<string>((resolve) => {
            told = resolve
          })
          const server = createServer((socket) => {
            socket.on("error", () => undefined)
            port.take(socket, (handshake) =>
              told(handshake._tag === "Accepted" ? handshake.remote._tag : handshake.refusal.reason))
          })
          server.listen(0, host, () =>
            resume(Effect.succeed({ server, outcome })))
        }),
        ({ server }) =>
          Effect.sync(() => {
            server.close()
            port.close()
          })
      )
      const { ca, cert, key } = contextOptions(alice)
      const at = { host, port: (raw.server.address() as AddressInfo).port }
      yield* socketOf(() =>
        connectTls({ ...at, ca, cert, key, ...(names === undefined ? {} : { ALPNProtocols: [...names] }) })
      )
      return yield* Effect.promise(() => raw.outcome)
    })

  it.live("may be left out for HTTP, and another one may not take its place", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* accepted(undefined), "Named")
      assert.strictEqual(yield* accepted(["h2", "http/1.1"]), "Named")
      assert.strictEqual(yield* accepted(["flaredb-client"]), "wrong-protocol")
    }))
})

describe("a handshake", () => {
  /** Takes connections and keeps what comes on them. */
  const impostor = Effect.acquireRelease(
    Effect.callback<{ readonly port: number; readonly bytes: () => Buffer; readonly close: () => void }>((resume) => {
      const chunks: Array<Buffer> = []
      const server = createServer((socket) => {
        socket.on("error", () => undefined)
        socket.on("data", (chunk) => {
          chunks.push(chunk)
          socket.destroy()
        })
      })
      server.listen(0, host, () =>
        resume(Effect.succeed({
          port: (server.address() as AddressInfo).port,
          bytes: () => Buffer.concat(chunks),
          close: () => server.close()
        })))
    }),
    ({ close }) => Effect.sync(close)
  )

  it.live("is all that one sees who is dialled and has no certificate", () =>
    Effect.gen(function*() {
      const { bytes, port } = yield* impostor
      const exit = yield* Effect.exit(ask(port, dialTls()))
      assert.isTrue(Exit.isFailure(exit))
      // A record of a handshake.
      assert.deepStrictEqual([...bytes().subarray(0, 2)], [0x16, 0x03])
      assert.strictEqual(bytes().indexOf("Who"), -1)
    }))

  it.live("of garbage closes its connection, with one line", () => {
    const lines: Array<string> = []
    return Effect.gen(function*() {
      const { port } = yield* whoPort(portTls(nodeMaterial))
      const socket = yield* socketOf(() => connectTcp(port, host))
      socket.write(Buffer.concat([Buffer.of(0x16, 0x03, 0x01, 0x00, 0x10), Buffer.alloc(16, 7)]))
      socket.resume()
      yield* closed(socket)
      assert.lengthOf(lines, 1)
      assert.include(lines.join(), "its bytes are no TLS handshake")
      assert.strictEqual(yield* ask(port, dialTls()), "client alice")
    }).pipe(withLog(lines))
  })

  const limits = { ...defaultConnectionLimits, maxHandshakeMs: 300 }

  for (
    const [what, bytes] of [
      ["says nothing", []],
      ["says one byte", [0x16]],
      ["begins and says no more", [0x16, 0x03, 0x01, 0x01, 0x00, 0x01]]
    ] as const
  ) {
    it.live(`that ${what} is closed within maxHandshakeMs`, () => {
      const lines: Array<string> = []
      return Effect.gen(function*() {
        const { port } = yield* whoPort(portTls(nodeMaterial), limits)
        const socket = yield* socketOf(() => connectTcp(port, host))
        if (bytes.length > 0) socket.write(Buffer.from(bytes))
        socket.resume()
        yield* closed(socket)
        assert.include(lines.join(), "no Hello within maxHandshakeMs (300)")
      }).pipe(withLog(lines))
    })
  }

  it.live("counts among the connections: the oldest silent one gives way", () =>
    Effect.gen(function*() {
      const { port } = yield* whoPort(portTls(nodeMaterial), { ...defaultConnectionLimits, maxConnections: 2 })
      const first = yield* socketOf(() => connectTcp(port, host))
      const second = yield* socketOf(() => connectTcp(port, host))
      yield* eventually("both are open", () => first.readyState === "open" && second.readyState === "open")
      first.resume()
      assert.strictEqual(yield* ask(port, dialTls()), "client alice")
      yield* closed(first)
      assert.isFalse(second.closed)
    }).pipe(withLog([])))

  it.live("is made in full by who comes again: no ticket stands for a certificate", () =>
    Effect.gen(function*() {
      const { port } = yield* whoPort(portTls(nodeMaterial))
      const { key, cert, ca } = contextOptions(alice)
      const socket: TLSSocket = yield* socketOf(() =>
        connectTls({ host, port, key, cert, ca, ALPNProtocols: [clientProtocol.name] })
      )
      yield* eventually("the handshake is over", () => socket.authorized)
      const session = socket.getSession()
      const again: TLSSocket = yield* socketOf(() =>
        connectTls({ host, port, ca, ALPNProtocols: [clientProtocol.name], ...(session ? { session } : {}) })
      )
      yield* eventually("the second handshake is over", () => again.authorized)
      assert.isFalse(again.isSessionReused())
    }))

  it.live("that is refused leaves the caller the time to read why, and no more", () =>
    Effect.gen(function*() {
      const { port } = yield* whoPort(portTls(nodeMaterial, "required"), { ...limits, maxHandshakeMs: 3_000 })
      const raw = yield* socketOf(() => connectTcp({ host, port, allowHalfOpen: true }))
      const { ca } = contextOptions(alice)
      const socket = yield* socketOf(() => connectTls({ socket: raw, ca, ALPNProtocols: [clientProtocol.name] }))
      let read = ""
      socket.on("data", (chunk: Buffer) => {
        read += chunk.toString("latin1")
      })
      yield* eventually("the reason is read", () => read.includes("no certificate was shown"))
      // It stays half open, and learns of the end by what it sends.
      yield* eventually("the port closes the connection", () => {
        raw.write("more")
        return raw.destroyed
      })
    }).pipe(withLog([])))
})

describe("new certificates", () => {
  it.live("are used for new connections, while calls go on over those that are open", () =>
    Effect.gen(function*() {
      const next = new TestAuthority("next authority")
      const both = [authority, next]
      const port = portTls(nodeMaterial)
      const server = port.credentials as MemoryCredentials
      const own = new MemoryCredentials(alice)
      const tls: DialTls = { credentials: own, cluster: "orders", node: 2 }
      const at = (yield* whoPort(port)).port
      const old = yield* dial(at, tls)
      let answers = 0
      const traffic = yield* Effect.forkScoped(Effect.forever(Effect.tap(old.Who(), (name) => {
        assert.strictEqual(name, "client alice")
        answers++
        return Effect.void
      })))
      const going = Effect.suspend(() => {
        const before = answers
        return eventually("calls go on", () => answers > before + 10)
      })
      yield* going
      // The three steps of a rotation: trust both, use the new one, trust the new one alone.
      server.replace({ ...nodeMaterial, authorities: authority.certificate + next.certificate })
      own.replace({ ...alice, authorities: authority.certificate + next.certificate })
      assert.strictEqual(yield* ask(at, tls), "client alice")
      server.replace(next.material(nodeOf(2), both))
      assert.strictEqual(yield* ask(at, tls), "client alice")
      own.replace(next.material(clientOf("bob"), both))
      assert.strictEqual(yield* ask(at, tls), "client bob")
      server.replace(next.material(nodeOf(2)))
      assert.strictEqual(yield* ask(at, tls), "client bob")
      const late = yield* Effect.exit(
        ask(at, { ...tls, credentials: new MemoryCredentials(authority.material(clientOf("eve"), both)) })
      )
      assert.strictEqual(Exit.isFailure(late) ? tlsRefusalOf(late.cause)?.reason : "in", "unknown-authority")
      yield* going
      assert.isUndefined(traffic.pollUnsafe())
      yield* Fiber.interrupt(traffic)
    }).pipe(withLog([])))

  it.live("that cannot be used leave the port with those before", () => {
    const lines: Array<string> = []
    return Effect.gen(function*() {
      const port = portTls(nodeMaterial)
      const at = (yield* whoPort(port)).port
      const other = authority.issue(nodeOf(2))
      const { own } = nodeMaterial
      assert.isDefined(own)
      if (own === undefined) return
      ;(port.credentials as MemoryCredentials).replace({
        ...nodeMaterial,
        own: { ...own, certificate: other.certificate }
      })
      assert.include(lines.join(), "those before go on")
      assert.strictEqual(yield* ask(at, dialTls()), "client alice")
    }).pipe(withLog(lines))
  })
})
