/** Certificates for tests, good ones and those that the product makes none of: expired, of other kinds, with odd names. */
import { Redacted } from "effect"
import type { KeyObject } from "node:crypto"
import { createHash, generateKeyPairSync, randomBytes, sign } from "node:crypto"
import { MemoryCredentials } from "../../../src/net/tls/Credentials.ts"
import type { KeyMaterial } from "../../../src/net/tls/Credentials.ts"

const der = (tag: number, ...parts: ReadonlyArray<Uint8Array>): Buffer => {
  const body = Buffer.concat(parts)
  const { length } = body
  const size = length < 0x80
    ? Buffer.of(length)
    : length < 0x100
    ? Buffer.of(0x81, length)
    : Buffer.of(0x82, length >> 8, length & 0xff)
  return Buffer.concat([Buffer.of(tag), size, body])
}
const sequence = (...parts: ReadonlyArray<Uint8Array>) => der(0x30, ...parts)
const octets = (bytes: Uint8Array) => der(0x04, bytes)
const oid = (text: string): Buffer => {
  const [first = 0, second = 0, ...rest] = text.split(".").map(Number)
  const bytes = [first * 40 + second]
  for (const part of rest) {
    const digits = [part & 0x7f]
    for (let left = part >> 7; left > 0; left >>= 7) digits.unshift((left & 0x7f) | 0x80)
    bytes.push(...digits)
  }
  return der(0x06, Buffer.from(bytes))
}
const time = (ms: number) =>
  der(0x18, Buffer.from(new Date(ms).toISOString().replace(/[-:T]/g, "").replace(/\.\d+/, "")))
const commonName = (text: string) => sequence(der(0x31, sequence(oid("2.5.4.3"), der(0x0c, Buffer.from(text)))))
const extension = (id: string, critical: boolean, value: Uint8Array) =>
  sequence(oid(id), ...(critical ? [der(0x01, Buffer.of(0xff))] : []), octets(value))
const ecdsaSha256 = sequence(oid("1.2.840.10045.4.3.2"))

const pem = (bytes: Uint8Array) =>
  `-----BEGIN CERTIFICATE-----\n${Buffer.from(bytes).toString("base64").replace(/(.{64})/g, "$1\n").trimEnd()}` +
  "\n-----END CERTIFICATE-----\n"

const day = 86_400_000

const spkiOf = (key: KeyObject) => key.export({ type: "spki", format: "der" })
const keyIdOf = (key: KeyObject) => createHash("sha1").update(spkiOf(key)).digest()

/** What a certificate is to say. */
export interface Wanted {
  readonly uris?: ReadonlyArray<string>
  readonly dns?: ReadonlyArray<string>
  readonly ips?: ReadonlyArray<string>
  readonly subject?: string
  /** Days from now at which it begins and ends to be valid. */
  readonly fromDays?: number
  readonly toDays?: number
}

export interface Issued {
  readonly certificate: string
  readonly key: string
}

const newPair = () => generateKeyPairSync("ec", { namedCurve: "P-256" })

interface Body extends Wanted {
  readonly issuer: string
  readonly issuerKeys: { readonly publicKey: KeyObject; readonly privateKey: KeyObject }
  readonly publicKey: KeyObject
  readonly isAuthority: boolean
}

const make = (
  {
    dns = [],
    fromDays = -1,
    ips = [],
    isAuthority,
    issuer,
    issuerKeys,
    publicKey,
    subject = "",
    toDays = 90,
    uris = []
  }: Body
): string => {
  const nowMs = Date.now()
  const names = [
    ...uris.map((uri) => der(0x86, Buffer.from(uri))),
    ...dns.map((name) => der(0x82, Buffer.from(name))),
    ...ips.map((ip) => der(0x87, Buffer.from(ip.split(".").map(Number))))
  ]
  const usage = isAuthority ? Buffer.of(0x03, 0x02, 0x01, 0x06) : Buffer.of(0x03, 0x02, 0x07, 0x80)
  const extensions = [
    extension("2.5.29.19", true, isAuthority ? sequence(der(0x01, Buffer.of(0xff))) : sequence()),
    extension("2.5.29.15", true, usage),
    ...(isAuthority
      ? []
      : [extension("2.5.29.37", false, sequence(oid("1.3.6.1.5.5.7.3.1"), oid("1.3.6.1.5.5.7.3.2")))]),
    extension("2.5.29.14", false, octets(keyIdOf(publicKey))),
    extension("2.5.29.35", false, sequence(der(0x80, keyIdOf(issuerKeys.publicKey)))),
    ...(names.length === 0 ? [] : [extension("2.5.29.17", false, sequence(...names))])
  ]
  const serial = randomBytes(16)
  // Positive, and without a leading zero.
  serial[0] = 0x40
  const body = sequence(
    der(0xa0, der(0x02, Buffer.of(2))),
    der(0x02, serial),
    ecdsaSha256,
    commonName(issuer),
    sequence(time(nowMs + fromDays * day), time(nowMs + toDays * day)),
    commonName(subject),
    spkiOf(publicKey),
    der(0xa3, sequence(...extensions))
  )
  const signature = sign("sha256", body, issuerKeys.privateKey)
  return pem(sequence(body, ecdsaSha256, der(0x03, Buffer.of(0), signature)))
}

/** An authority that issues whatever a test wants. */
export class TestAuthority {
  readonly name: string
  readonly certificate: string
  private readonly keys = newPair()

  /** Its own root, unless it is one of another authority's. */
  constructor(
    name = "test authority",
    { above, ...validity }: Pick<Wanted, "fromDays" | "toDays"> & { readonly above?: TestAuthority } = {}
  ) {
    this.name = name
    this.certificate = make({
      ...validity,
      issuer: above?.name ?? name,
      subject: name,
      issuerKeys: above?.keys ?? this.keys,
      publicKey: this.keys.publicKey,
      isAuthority: true
    })
  }

  issue(wanted: Wanted): Issued {
    const { privateKey, publicKey } = newPair()
    return {
      certificate: make({ ...wanted, issuer: this.name, issuerKeys: this.keys, publicKey, isAuthority: false }),
      key: privateKey.export({ type: "pkcs8", format: "pem" }) as string
    }
  }

  /** What shows a certificate of this authority and trusts `trusted`, itself by default. */
  material(wanted: Wanted | undefined, trusted: ReadonlyArray<TestAuthority> = [this]): KeyMaterial {
    const authorities = trusted.map(({ certificate }) => certificate).join("")
    if (wanted === undefined) return { authorities }
    const { certificate, key } = this.issue(wanted)
    return { authorities, own: { certificate, key: Redacted.make(key) } }
  }

  credentials(wanted: Wanted | undefined, trusted?: ReadonlyArray<TestAuthority>): MemoryCredentials {
    return new MemoryCredentials(this.material(wanted, trusted))
  }
}

/** This machine, where tests listen. */
const local = { dns: ["localhost"], ips: ["127.0.0.1"] }

/** What a good node's certificate says. */
export const nodeOf = (node: number, cluster = "orders"): Wanted => ({
  ...local,
  uris: [`flaredb://${cluster}/node/${node}`],
  subject: `node ${node}`
})

/** What a good client's certificate says. */
export const clientOf = (name: string, cluster = "orders"): Wanted => ({
  uris: [`flaredb://${cluster}/client/${name}`],
  subject: name
})
