import { assert, describe, it } from "@effect/vitest"
import { Redacted, Result } from "effect"
import { Buffer } from "node:buffer"
import { X509Certificate } from "node:crypto"
import { factsOf, holderOf, hostsOf, isIssuedBy, missingUses, parsePem } from "../../src/certificates/Certificates.ts"
import { maxCertificates } from "../../src/net/tls/PemBlocks.ts"
import { Random } from "../simulation/Random.ts"
import { subjectOf } from "../../src/certificates/DerReader.ts"
import { client, issueOdd, leafExtensions, makeKit, node } from "./Kit.ts"

const nowMs = Date.UTC(2026, 5, 1, 12)
const kit = makeKit(nowMs)
const leaf = kit.node(1, ["db1", "10.0.0.1", "::1"])

const problemOf = (text: string): string => {
  const parsed = parsePem(text)
  if (Result.isSuccess(parsed)) throw new Error("nothing was wrong")
  return parsed.failure.problem
}

describe("certificates in PEM", () => {
  it("are read in their order, with text around them", () => {
    const text = `a comment\n${leaf.certificate}\nanother\n${kit.authority.certificate}`
    const parsed = Result.getOrThrow(parsePem(text))
    assert.deepStrictEqual(parsed.map(({ ca }) => ca), [false, true])
  })

  it("say what they are instead", () => {
    assert.strictEqual(problemOf(""), "it holds no certificate in PEM form")
    assert.strictEqual(problemOf(Redacted.value(leaf.key)), "it holds a private key and no certificate")
    assert.match(problemOf(leaf.certificate.replace(/\n[A-Za-z0-9+/]{10}/, "\n")), /certificate 1 of 1 cannot be read/)
    const many = leaf.certificate.repeat(maxCertificates + 1)
    assert.strictEqual(problemOf(many), `it holds ${maxCertificates + 1} certificates, over ${maxCertificates}`)
  })

  it("say who holds them, for which hosts, until when", () => {
    const facts = factsOf(new X509Certificate(leaf.certificate))
    assert.deepStrictEqual(facts.name, node(1))
    assert.deepStrictEqual(facts.hosts, ["db1", "10.0.0.1", "::1"])
    assert.strictEqual(facts.subject, "O=test, CN=node 1")
    assert.strictEqual(facts.validToMs, nowMs + 86_400_000)
    assert.match(facts.fingerprint, /^(?:[0-9A-F]{2}:){31}[0-9A-F]{2}$/)
    const own = factsOf(new X509Certificate(kit.authority.certificate))
    assert.isTrue(own.isAuthority)
    assert.isUndefined(own.name)
  })

  it("have no host and no holder where names could be read in several ways", () => {
    const quoted = new X509Certificate(kit.quotedName().certificate)
    assert.isUndefined(hostsOf(quoted))
    assert.isTrue(Result.isFailure(holderOf(quoted)))
    for (const odd of [kit.nameless(), kit.twoNames(), kit.malformedName()]) {
      assert.isTrue(Result.isFailure(holderOf(new X509Certificate(odd.certificate))))
    }
  })

  it("are of an authority by its name and its signature", () => {
    const certificate = new X509Certificate(leaf.certificate)
    assert.isTrue(isIssuedBy(certificate, new X509Certificate(kit.authority.certificate)))
    assert.isFalse(isIssuedBy(certificate, new X509Certificate(makeKit(nowMs).authority.certificate)))
    assert.isFalse(isIssuedBy(certificate, certificate))
  })

  it("name the uses that are missing", () => {
    const of = (...uses: ReadonlyArray<"serverAuth" | "clientAuth">) =>
      new X509Certificate(issueOdd(kit.authority, leafExtensions([{ dns: "a" }], ...uses), nowMs).certificate)
    assert.deepStrictEqual(missingUses(of("clientAuth"), "node"), ["serverAuth"])
    assert.deepStrictEqual(missingUses(of("serverAuth"), "client"), ["clientAuth"])
    assert.deepStrictEqual(missingUses(of("serverAuth", "clientAuth"), "node"), [])
    const unrestricted = issueOdd(kit.authority, [], nowMs)
    assert.deepStrictEqual(missingUses(new X509Certificate(unrestricted.certificate), "node"), [])
  })
})

describe("bytes that are no certificates", () => {
  const asPem = (bytes: Uint8Array): string =>
    `-----BEGIN CERTIFICATE-----\n${Buffer.from(bytes).toString("base64")}\n-----END CERTIFICATE-----\n`

  it("are a problem in words or a certificate with facts, and never anything else", () => {
    const random = new Random(1)
    const whole = [leaf, kit.client("a"), kit.quotedName()].map(({ certificate }) =>
      new X509Certificate(certificate).raw
    )
    const outcomes = { facts: 0, problems: 0 }
    for (let run = 0; run < 4_000; run++) {
      const bytes = Buffer.from(whole[random.below(whole.length)] ?? leaf.certificate)
      for (let changes = random.below(4) + 1; changes > 0; changes--) {
        bytes[random.below(bytes.length)] = random.below(256)
      }
      const cut = random.below(5) === 0 ? bytes.subarray(0, random.below(bytes.length)) : bytes
      const parsed = parsePem(asPem(cut))
      if (Result.isFailure(parsed)) {
        assert.match(parsed.failure.problem, /cannot be read/)
        outcomes.problems++
        continue
      }
      const [certificate] = parsed.success
      if (certificate === undefined) throw new Error("nothing was read")
      assert.isArray(factsOf(certificate).hosts)
      holderOf(certificate)
      missingUses(certificate, "node")
      subjectOf(certificate.raw)
      outcomes.facts++
    }
    assert.isAbove(outcomes.facts, 100)
    assert.isAbove(outcomes.problems, 100)
  })

  it("have no subject, and end the reader", () => {
    const random = new Random(2)
    const { raw } = new X509Certificate(kit.authority.certificate)
    assert.isDefined(subjectOf(raw)?.keyId)
    for (let length = 0; length < raw.byteLength; length++) assert.isUndefined(subjectOf(raw.subarray(0, length)))
    for (let run = 0; run < 4_000; run++) {
      const bytes = Uint8Array.from({ length: random.below(64) }, () => random.below(256))
      const found = subjectOf(bytes)
      assert.isTrue(found === undefined || found.subject.byteLength <= bytes.byteLength)
    }
  })

  it("say nothing of a subject that another program wrote in another way", () => {
    const { raw } = new X509Certificate(kit.authority.certificate)
    const found = subjectOf(raw)
    const issued = new X509Certificate(kit.node(3).certificate)
    assert.isTrue(issued.checkIssued(new X509Certificate(kit.authority.certificate)))
    assert.strictEqual(Buffer.from(found?.keyId ?? []).byteLength, 20)
    assert.deepStrictEqual(holderOf(new X509Certificate(kit.client("x").certificate)), Result.succeed(client("x")))
  })
})
