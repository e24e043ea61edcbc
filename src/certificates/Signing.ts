/**
 * Certificates of X.509 version 3, made and signed with what Node has. Which of them FlareDB issues is decided in
 * `Authority.ts`; here is only how one is written down (RFC 5280).
 */
import { Buffer } from "node:buffer"
import type { KeyObject } from "node:crypto"
import { createHash, randomBytes, sign } from "node:crypto"
import type { Der } from "./Der.ts"
import * as der from "./Der.ts"

export interface Extension {
  readonly id: string
  /** Who does not know the extension must refuse the certificate. */
  readonly isCritical: boolean
  readonly content: Der
}

/** What a certificate says, and with whose key it is signed. */
export interface CertificateBody {
  readonly issuer: Der
  readonly subject: Der
  readonly publicKey: KeyObject
  readonly validFromMs: number
  readonly validToMs: number
  readonly extensions: ReadonlyArray<Extension>
}

const ids = {
  organization: "2.5.4.10",
  commonName: "2.5.4.3",
  ecdsaWithSha256: "1.2.840.10045.4.3.2",
  subjectKeyId: "2.5.29.14",
  keyUsage: "2.5.29.15",
  subjectAltName: "2.5.29.17",
  basicConstraints: "2.5.29.19",
  authorityKeyId: "2.5.29.35",
  extendedKeyUsage: "2.5.29.37",
  serverAuth: "1.3.6.1.5.5.7.3.1",
  clientAuth: "1.3.6.1.5.5.7.3.2"
} as const

/** The name that certificate listings show. Who the holder is for FlareDB stands in the URI name, not here. */
export const subject = (organization: string, commonName: string): Der =>
  der.sequence(
    der.set(der.sequence(der.oid(ids.organization), der.utf8String(organization))),
    der.set(der.sequence(der.oid(ids.commonName), der.utf8String(commonName)))
  )

/** Twenty bytes that tell one public key from others. */
export const keyIdOf = (publicKey: KeyObject): Uint8Array =>
  createHash("sha256").update(publicKey.export({ type: "spki", format: "der" })).digest().subarray(0, 20)

export const basicConstraints = (isAuthority: boolean): Extension => ({
  id: ids.basicConstraints,
  isCritical: true,
  // An authority may sign leaves alone, no other authorities.
  content: isAuthority ? der.sequence(der.boolean(true), der.integer(Uint8Array.of(0))) : der.sequence()
})

/** `digitalSignature` for leaves; `keyCertSign` and `cRLSign` for authorities. */
export const keyUsage = (isAuthority: boolean): Extension => ({
  id: ids.keyUsage,
  isCritical: true,
  content: isAuthority ? der.bitString(Uint8Array.of(0x06), 1) : der.bitString(Uint8Array.of(0x80), 7)
})

/** A client's certificate is not one for servers, so that other software refuses it as one, too. */
export const extendedKeyUsage = (...uses: ReadonlyArray<"serverAuth" | "clientAuth">): Extension => ({
  id: ids.extendedKeyUsage,
  isCritical: false,
  content: der.sequence(...uses.map((use) => der.oid(ids[use])))
})

export const subjectKeyId = (keyId: Uint8Array): Extension => ({
  id: ids.subjectKeyId,
  isCritical: false,
  content: der.octetString(keyId)
})

export const authorityKeyId = (keyId: Uint8Array): Extension => ({
  id: ids.authorityKeyId,
  isCritical: false,
  content: der.sequence(der.implicit(0, keyId))
})

/** One name of a holder: text must be ASCII, an address has 4 or 16 bytes. */
export type AltName =
  | { readonly uri: string }
  | { readonly dns: string }
  | { readonly address: Uint8Array }

const altName = (name: AltName): Der =>
  "uri" in name
    ? der.implicit(6, Buffer.from(name.uri, "latin1"))
    : "dns" in name
    ? der.implicit(2, Buffer.from(name.dns, "latin1"))
    : der.implicit(7, name.address)

export const subjectAltName = (names: ReadonlyArray<AltName>): Extension => ({
  id: ids.subjectAltName,
  isCritical: false,
  content: der.sequence(...names.map(altName))
})

const extension = ({ content, id, isCritical }: Extension): Der =>
  der.sequence(der.oid(id), ...(isCritical ? [der.boolean(true)] : []), der.octetString(content))

/** Positive, and of 127 random bits, so that no two certificates of an authority share one. */
const serialNumber = (): Der => {
  const bytes = randomBytes(16)
  bytes[0] = ((bytes[0] as number) & 0x7f) | 0x40
  return der.integer(bytes)
}

const algorithm = der.sequence(der.oid(ids.ecdsaWithSha256))

const pem = (certificate: Der): string => {
  const lines = Buffer.from(certificate).toString("base64").match(/.{1,64}/g) ?? []
  return `-----BEGIN CERTIFICATE-----\n${lines.join("\n")}\n-----END CERTIFICATE-----\n`
}

/** The certificate as PEM, signed with ECDSA and SHA-256. `signingKey` is a private key on an elliptic curve. */
export const signCertificate = (body: CertificateBody, signingKey: KeyObject): string => {
  const version3 = der.explicit(0, der.integer(Uint8Array.of(2)))
  const toBeSigned = der.sequence(
    version3,
    serialNumber(),
    algorithm,
    body.issuer,
    der.sequence(der.time(body.validFromMs), der.time(body.validToMs)),
    body.subject,
    body.publicKey.export({ type: "spki", format: "der" }),
    der.explicit(3, der.sequence(...body.extensions.map(extension)))
  )
  return pem(der.sequence(toBeSigned, algorithm, der.bitString(sign("sha256", toBeSigned, signingKey))))
}
