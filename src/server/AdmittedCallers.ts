/** How a client port finds out who calls, put together from its settings. */
import type { Redacted } from "effect"
import { Effect } from "effect"
import * as AccessMetrics from "../callers/AccessMetrics.ts"
import type { AuditLog } from "../callers/AuditLog.ts"
import type { ClientAuth } from "../config/Security.ts"
import { Authentication } from "../callers/Authentication.ts"
import { isLoopbackHost } from "../net/Loopback.ts"
import { onlyAdministrators } from "../callers/OnlyAdministrators.ts"
import type { MachineAccess } from "../machine/MachineAccess.ts"
import type { BoundAddress } from "../net/Listening.ts"
import type { ProtocolViolations } from "../net/ProtocolViolations.ts"
import type { PortTls } from "../net/tls/Credentials.ts"
import type { Remote } from "../net/tls/Remote.ts"
import type { CallerAdmission } from "./Admission.ts"
import { Callers } from "./Callers.ts"

export interface CallersConfig {
  /** What callers have to show. With `none` they are only written down, where there is an audit log. */
  readonly clientAuth: ClientAuth
  /** Makes the client that shows it the administrator while the cluster knows no names. */
  readonly bootstrapToken?: Redacted.Redacted | undefined
  /** Where operations are written down. */
  readonly audit?: AuditLog | undefined
}

/** What the port needs of it. */
export interface AdmittedCallers extends CallerAdmission {
  /** The port listens there. */
  readonly listening: (address: BoundAddress) => void
}

/** `undefined` where no caller is asked who it is and nothing is written down: then calls cost nothing more. */
export const admittedCallers = (
  { callers: config, listen, tls }: {
    readonly callers?: CallersConfig | undefined
    readonly tls?: PortTls | undefined
    readonly listen: { readonly host: string }
  },
  violations: ProtocolViolations,
  machine: MachineAccess | undefined,
  remoteOf: (clientId: number) => Remote
): Effect.Effect<AdmittedCallers | undefined> =>
  Effect.gen(function*() {
    if (config === undefined || (config.clientAuth === "none" && config.audit === undefined)) return undefined
    const { audit, bootstrapToken, clientAuth } = config
    const access = machine ?? onlyAdministrators
    let isLoopback = isLoopbackHost(listen.host)
    const authentication = new Authentication({
      clientAuth,
      mode: tls?.mode ?? "off",
      access,
      bootstrapToken,
      isLoopback: () => isLoopback
    })
    const metrics = yield* AccessMetrics.make(access)
    return {
      authentication,
      callers: new Callers({ authentication, access, violations, metrics, audit }),
      remoteOf,
      listening: ({ addresses }) => {
        isLoopback = addresses.every(isLoopbackHost)
      }
    }
  })
