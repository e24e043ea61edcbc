/** Certificates for tests, good ones and those that the product makes none of: expired, of other kinds, with odd names. */
import { Redacted } from "effect"
import type { KeyObject } from "node:crypto"
import { generateKeyPairSync } from "node:crypto"
import * as der from "../../../src/certificates/Der.ts"
import type { AltName, Extension } from "../../../src/certificates/Signing.ts"
import * as Signing from "../../../src/certificates/Signing.ts"
import { MemoryCredentials } from "../../../src/net/tls/Credentials.ts"
import type { KeyMaterial } from "../../../src/net/tls/Credentials.ts"

const day = 86_400_000

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

const organization = "tests"

/** The product's authorities sign leaves alone; those of other programs may have authorities below them. */
const anyAuthority: Extension = { ...Signing.basicConstraints(true), content: der.sequence(der.boolean(true)) }

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
  const names: ReadonlyArray<AltName> = [
    ...uris.map((uri) => ({ uri })),
    ...dns.map((name) => ({ dns: name })),
    ...ips.map((ip) => ({ address: Uint8Array.from(ip.split("."), Number) }))
  ]
  return Signing.signCertificate({
    issuer: Signing.subject(organization, issuer),
    subject: Signing.subject(organization, subject),
    publicKey,
    validFromMs: nowMs + fromDays * day,
    validToMs: nowMs + toDays * day,
    extensions: [
      isAuthority ? anyAuthority : Signing.basicConstraints(false),
      Signing.keyUsage(isAuthority),
      ...(isAuthority ? [] : [Signing.extendedKeyUsage("serverAuth", "clientAuth")]),
      Signing.subjectKeyId(Signing.keyIdOf(publicKey)),
      Signing.authorityKeyId(Signing.keyIdOf(issuerKeys.publicKey)),
      ...(names.length === 0 ? [] : [Signing.subjectAltName(names)])
    ]
  }, issuerKeys.privateKey)
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
