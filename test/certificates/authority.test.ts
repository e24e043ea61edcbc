import { assert, describe, it } from "@effect/vitest"
import { Redacted, Result } from "effect"
import { X509Certificate } from "node:crypto"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { isIP } from "node:net"
import { issue, makeAuthority, openAuthority, validToMs } from "../../src/certificates/Authority.ts"
import type { Authority, CertificateProblem, Issued, Request } from "../../src/certificates/Authority.ts"
import { client, makeKit, node } from "./Kit.ts"
import { openssl, opensslMissing } from "./Openssl.ts"

const nowMs = Date.UTC(2026, 5, 1, 12)
const dayMs = 86_400_000

const problemOf = <A>(result: Result.Result<A, CertificateProblem>): string => {
  if (Result.isSuccess(result)) throw new Error("nothing was wrong")
  return result.failure.message
}

const authority = Result.getOrThrow(makeAuthority({ cluster: "prod", nowMs }))

const given = (request: Partial<Request>, by: Authority = authority): Issued =>
  Result.getOrThrow(issue(by, { name: node(1, "prod"), hosts: ["db1.example.com"], nowMs, ...request }))

const refused = (request: Partial<Request>, by: Authority = authority): string =>
  problemOf(issue(by, { name: node(1, "prod"), hosts: ["db1.example.com"], nowMs, ...request }))

describe("the authority", () => {
  it("signs itself, for its cluster and its days", () => {
    const certificate = new X509Certificate(authority.certificate)
    assert.isTrue(certificate.ca)
    assert.isTrue(certificate.checkIssued(certificate) && certificate.verify(certificate.publicKey))
    assert.match(certificate.subject, /^O=prod\nCN=FlareDB authority [0-9a-f]{8}$/)
    assert.strictEqual(authority.validToMs, nowMs + 3_650 * dayMs)
    assert.strictEqual(validToMs(certificate), authority.validToMs)
    assert.strictEqual(Date.parse(certificate.validFrom), nowMs - 300_000)
  })

  it("has another name and serial number than the one before", () => {
    const next = new X509Certificate(Result.getOrThrow(makeAuthority({ cluster: "prod", nowMs })).certificate)
    const before = new X509Certificate(authority.certificate)
    assert.notStrictEqual(next.subject, before.subject)
    assert.notStrictEqual(next.serialNumber, before.serialNumber)
  })

  it("is refused for a name or days that no certificate can have", () => {
    const make = (cluster: string, days = 1) => problemOf(makeAuthority({ cluster, days, nowMs }))
    assert.match(make(""), /cluster: "" is no name of a cluster/)
    assert.match(make("a/b"), /1 to 64 letters/)
    assert.match(make("x".repeat(65)), /1 to 64 letters/)
    assert.match(make("prod", 0), /days: 0 is not a whole number from 1 to 36500/)
    assert.match(make("prod", 1.5), /days: 1.5/)
    assert.match(make("prod", 36_501), /days: 36501/)
  })

  it("is opened again from its files", () => {
    const opened = Result.getOrThrow(openAuthority(authority))
    assert.strictEqual(opened.cluster, "prod")
    const leaf = new X509Certificate(given({}, opened).certificate)
    assert.isTrue(leaf.checkIssued(new X509Certificate(authority.certificate)))
  })

  it("is not opened from files that cannot issue", () => {
    const other = Result.getOrThrow(makeAuthority({ cluster: "prod", nowMs }))
    const leaf = given({})
    assert.match(problemOf(openAuthority({ ...authority, certificate: "x" })), /not PEM of a certificate/)
    assert.match(problemOf(openAuthority({ ...authority, key: Redacted.make("x") })), /not PEM of a private key/)
    assert.match(problemOf(openAuthority({ ...authority, key: other.key })), /not a pair/)
    assert.match(problemOf(openAuthority(leaf)), /may not sign others/)
  })
})

describe("what an authority issues", () => {
  it("names a node and its hosts", () => {
    const hosts = ["db1.example.com", "DB1", "10.0.0.1", "::1", "2001:db8::a:0:1", "::ffff:10.0.0.9", "flare_db-1"]
    const certificate = new X509Certificate(given({ hosts }).certificate)
    assert.strictEqual(certificate.subject, "O=prod\nCN=node 1")
    assert.deepStrictEqual(certificate.subjectAltName?.split(", "), [
      "URI:flaredb://prod/node/1",
      "DNS:db1.example.com",
      "DNS:db1",
      "IP Address:10.0.0.1",
      "IP Address:0:0:0:0:0:0:0:1",
      "IP Address:2001:DB8:0:0:0:A:0:1",
      "IP Address:0:0:0:0:0:FFFF:A00:9",
      "DNS:flare_db-1"
    ])
    for (const host of hosts) {
      assert.isString(isIP(host) === 0 ? certificate.checkHost(host) : certificate.checkIP(host), host)
    }
    assert.isFalse(certificate.ca)
    assert.deepStrictEqual(certificate.keyUsage, ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"])
    assert.isTrue(certificate.verify(new X509Certificate(authority.certificate).publicKey))
  })

  it("gives a client no use as a server", () => {
    const certificate = new X509Certificate(given({ name: client("backup", "prod"), hosts: [] }).certificate)
    assert.strictEqual(certificate.subjectAltName, "URI:flaredb://prod/client/backup")
    assert.deepStrictEqual(certificate.keyUsage, ["1.3.6.1.5.5.7.3.2"])
  })

  it("has keys and serial numbers of its own, and never prints a key", () => {
    const [first, second] = [given({}), given({})]
    assert.notStrictEqual(Redacted.value(first.key), Redacted.value(second.key))
    assert.isFalse(JSON.stringify([first, authority]).includes("PRIVATE"))
    assert.isFalse(String(first.key).includes("PRIVATE"))
    const serials = Array.from({ length: 20 }, () => new X509Certificate(given({}).certificate).serialNumber)
    assert.strictEqual(new Set(serials).size, 20)
    for (const serial of serials) assert.match(serial, /^[4-7][0-9A-F]{31}$/)
  })

  it("ends with the authority at the latest", () => {
    const short = Result.getOrThrow(makeAuthority({ cluster: "prod", days: 10, nowMs }))
    const issued = given({ days: 30 }, short)
    assert.strictEqual(issued.validToMs, short.validToMs)
    assert.strictEqual(validToMs(new X509Certificate(issued.certificate)), short.validToMs)
    assert.match(refused({ nowMs: nowMs + 11 * dayMs }, short), /authority: it expired on 2026-06-11/)
  })

  it("writes years from 2050 on with four digits", () => {
    const issued = Result.getOrThrow(makeAuthority({ cluster: "prod", days: 36_500, nowMs }))
    assert.strictEqual(validToMs(new X509Certificate(issued.certificate)), nowMs + 36_500 * dayMs)
  })

  it("is refused for names and hosts that could be read as others", () => {
    const host = (text: string) => refused({ hosts: [text] })
    assert.match(host("a, DNS:b"), /host: "a, DNS:b" is no host name/)
    assert.match(host("a\nb"), /host: "a\\nb" is no host name/)
    assert.match(host("*.example.com"), /is a wildcard/)
    assert.match(host("[::1]"), /without them/)
    assert.match(host("db1:7001"), /has a port/)
    for (const text of ["", ".", "a..b", "-a", "a-", "1.2.3", "1.2.3.256", "01.2.3.4", "::g", ":::", "1::2::3", "é"]) {
      assert.match(host(text), /host: .* is no host name/, text)
    }
    assert.match(host("x".repeat(64)), /is no host name/)
    assert.match(refused({ hosts: Array.from({ length: 33 }, (_, i) => `h${i}`) }), /at most 32/)
    assert.match(refused({ hosts: [] }), /needs the host names/)
    assert.match(refused({ name: node(0, "prod") }), /name: node 0/)
    assert.match(refused({ name: node(1_000_000_000, "prod") }), /from 1 to 999999999/)
    assert.match(refused({ name: client("a b", "prod"), hosts: [] }), /name: client "a b"/)
    assert.match(refused({ name: node(1, "other") }), /the authority is for cluster prod, not other/)
    assert.match(refused({ days: 0 }), /days: 0/)
  })
})

describe("openssl", () => {
  const folder = (use: (path: string) => void) => {
    const path = mkdtempSync(join(tmpdir(), "flaredb-certificates-"))
    try {
      use(path)
    } finally {
      rmSync(path, { recursive: true })
    }
  }

  it.skipIf(opensslMissing !== undefined)("accepts what is issued, in its strict mode", () =>
    folder((path) => {
      const write = (name: string, text: string) => writeFileSync(join(path, name), text)
      write("ca.crt", authority.certificate)
      write("node.crt", given({ hosts: ["db1", "10.0.0.1", "::1"] }).certificate)
      write("client.crt", given({ name: client("admin", "prod"), hosts: [] }).certificate)
      const verify = (...args: ReadonlyArray<string>) =>
        openssl(path, "verify", "-x509_strict", "-attime", String(nowMs / 1_000), "-CAfile", "ca.crt", ...args)
      assert.match(verify("ca.crt"), /ca.crt: OK/)
      assert.match(verify("-purpose", "sslserver", "-verify_hostname", "db1", "node.crt"), /OK/)
      assert.match(verify("-purpose", "sslclient", "-verify_ip", "10.0.0.1", "node.crt"), /OK/)
      assert.match(verify("-purpose", "sslclient", "client.crt"), /OK/)
      assert.throws(() => verify("-purpose", "sslserver", "client.crt"), /purpose/)
      assert.throws(() => verify("-verify_hostname", "db2", "node.crt"), /hostname/)
    }))

  it.skipIf(opensslMissing !== undefined)("sees in odd ones what they are made for", () =>
    folder((path) => {
      const kit = makeKit(nowMs)
      const write = (name: string, text: string) => writeFileSync(join(path, name), text)
      write("ca.crt", kit.authority.certificate)
      const verify = (issued: Issued) => {
        write("leaf.crt", issued.certificate)
        return openssl(path, "verify", "-attime", String(nowMs / 1_000), "-CAfile", "ca.crt", "leaf.crt")
      }
      assert.match(verify(kit.node(1)), /OK/)
      assert.match(verify(kit.quotedName()), /OK/)
      assert.throws(() => verify(kit.expired(node(1))), /expired/)
      assert.throws(() => verify(kit.notYetValid(node(1))), /not yet valid/)
      assert.throws(() => verify(kit.ofOtherAuthority(node(1))), /unable to get local issuer/)
      const quoted = new X509Certificate(kit.quotedName().certificate).subjectAltName ?? ""
      assert.match(quoted, /^DNS:"a\\u002c URI:flaredb:\/\/test\/node\/1"/)
    }))
})
