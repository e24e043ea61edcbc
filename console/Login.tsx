/** Who looks: a token, which stays in this tab. */
import { useState } from "preact/hooks"
import { call, CallFailed, useToken } from "./Api.ts"
import { Heading, Problem } from "./Parts.tsx"
import type { Viewer } from "./Types.ts"

export const Login = ({ onViewer }: { readonly onViewer: (viewer: Viewer) => void }) => {
  const [problem, setProblem] = useState<string>()
  const submit = async (given: string) => {
    const token = given.trim()
    // A request cannot carry it.
    if (!/^[\x21-\x7e]+$/.test(token)) return setProblem("This is no token: it has blanks, or letters that none has.")
    useToken(token)
    try {
      onViewer(await call<Viewer>("whoami"))
    } catch (error) {
      useToken(undefined)
      setProblem(error instanceof CallFailed ? error.message : String(error))
    }
  }
  return (
    <main id="main" class="login">
      <Heading>Log in</Heading>
      <form
        onSubmit={(event) => {
          event.preventDefault()
          void submit(String(new FormData(event.currentTarget).get("token") ?? ""))
        }}
      >
        <label for="token">Token</label>
        <input id="token" name="token" type="password" autocomplete="off" spellcheck={false} required />
        <p class="quiet">
          <code>flaredb access token create NAME</code>{" "}
          makes one. It is sent to this node only, and forgotten when this tab is closed.
        </p>
        <Problem text={problem} />
        <button type="submit" class="main">Log in</button>
      </form>
    </main>
  )
}
