/** The certificates with which one kind of port is served and dialled, and how they change while it is in use. */
import type { Redacted } from "effect"
import type { TlsMode } from "../../config/Security.ts"

/** What one side of a connection shows, and what it holds the other side's certificate against. */
export interface KeyMaterial {
  /** PEM of the authorities whose certificates are accepted: one, or two while they rotate. */
  readonly authorities: string
  /** PEM of the own certificate, with those between it and the authority; absent for who shows none. */
  readonly own?: { readonly certificate: string; readonly key: Redacted.Redacted<string> }
}

/** Certificates and keys that may be replaced while connections are open. */
export interface Credentials {
  /** The newest that passed the checks. */
  readonly current: () => KeyMaterial
  /** Has `listener` told of each change, until what is returned is called. */
  readonly onChange: (listener: (material: KeyMaterial) => void) => () => void
}

/** Credentials that are given and stay, or are changed by the program itself: for tests, and for embedded clients. */
export class MemoryCredentials implements Credentials {
  private material: KeyMaterial
  private readonly listeners = new Set<(material: KeyMaterial) => void>()

  constructor(material: KeyMaterial) {
    this.material = material
  }

  readonly current = (): KeyMaterial => this.material

  readonly onChange: Credentials["onChange"] = (listener) => {
    this.listeners.add(listener)
    return () => void this.listeners.delete(listener)
  }

  /** Uses other material for new connections from now on. */
  replace(material: KeyMaterial): void {
    this.material = material
    for (const listener of this.listeners) listener(material)
  }
}

/** Whether a port asks its callers for certificates, and takes those without. */
export type CertificateDemand = "required" | "optional" | "none"

/** How a port is served. */
export interface PortTls {
  readonly mode: Exclude<TlsMode, "off">
  readonly credentials: Credentials
  /** The cluster that a name in a certificate must be of. */
  readonly cluster: string
  readonly demand: CertificateDemand
}

/** How a port is dialled. */
export interface DialTls {
  readonly credentials: Credentials
  /** The node that must answer; absent where any node of the cluster may. */
  readonly node?: number
  /** The cluster that it must be of; absent for a client that has not been told. */
  readonly cluster?: string
}
