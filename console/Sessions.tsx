/** The sessions of clients that write, a page at a time. */
import { useState } from "preact/hooks"
import { call } from "./Api.ts"
import { Act } from "./Confirm.tsx"
import { bytes, count, span } from "./Format.ts"
import { Heading, Problem, Table } from "./Parts.tsx"
import { useCall } from "./useCall.ts"

interface Session {
  readonly session: number
  readonly owner: string
  readonly caller: string
  readonly ageMs: number
  readonly remainingMs: number
  readonly lastSequence: number
  readonly keptBytes: number
}

export const SessionsPage = () => {
  const [after, setAfter] = useState(0)
  const { again, answer, problem } = useCall<{ readonly sessions: ReadonlyArray<Session>; readonly more: boolean }>(
    "sessions",
    { after },
    3_000
  )
  const last = answer?.sessions[answer.sessions.length - 1]
  return (
    <>
      <Heading>Sessions</Heading>
      <p class="quiet">Each client that writes has one: it is how a repeated write takes effect once.</p>
      <Problem text={problem} />
      <Table
        caption="Sessions"
        rows={problem !== undefined && answer === undefined ? [] : answer?.sessions}
        id={({ session }) => String(session)}
        empty="There are no sessions here."
        columns={[
          { name: "Session", cell: ({ session }) => session },
          { name: "Client", cell: ({ owner }) => owner === "" ? "unnamed" : owner },
          { name: "User", cell: ({ caller }) => caller === "" ? "–" : caller },
          { name: "Opened", figure: true, cell: ({ ageMs }) => `${span(ageMs)} ago` },
          { name: "Ends in", figure: true, cell: ({ remainingMs }) => span(remainingMs) },
          { name: "Writes", figure: true, cell: ({ lastSequence }) => count(lastSequence) },
          { name: "Kept replies", figure: true, cell: ({ keptBytes }) => bytes(keptBytes) },
          {
            name: "Act",
            cell: ({ session }) => (
              <Act
                label="End"
                about={`session ${session}`}
                verb="End it"
                danger
                onDone={again}
                question={
                  <p>
                    Its client learns that it has expired with a write whose outcome it does not know, and opens another
                    one for the next.
                  </p>
                }
                act={() => call("endSession", { id: session })}
              />
            )
          }
        ]}
      />
      <div class="buttons">
        {after === 0 ? null : <button type="button" onClick={() => setAfter(0)}>First page</button>}
        {answer?.more !== true || last === undefined
          ? null
          : <button type="button" onClick={() => setAfter(last.session)}>Next page</button>}
      </div>
    </>
  )
}
