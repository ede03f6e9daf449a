// The service's addresses, with its token, and with patience where it is busy.

let token = "";
let askToken = () => Promise.reject(new Error("This service needs a token."));

export function onTokenNeeded(ask) { askToken = ask; }

const wait = seconds => new Promise(done => setTimeout(done, 1000 * seconds));

// Returns the response of an address; throws an Error with the service's own words where it refuses.
export async function ask(address, options = {}, tries = 20) {
  for (let number = 1; ; number++) {
    let response;
    try {
      response = await fetch(address, { ...options, headers: token ? { Authorization: `Bearer ${token}` } : {} });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Error("The service does not answer. Does it still run?");
    }
    if (response.ok) return response;
    if (response.status === 401) {
      token = await askToken(token);
    } else if (response.status === 429 && number < tries) {
      await wait(Math.min(Number(response.headers.get("Retry-After")) || 1, 10));
    } else {
      const said = await response.json().catch(() => ({}));
      throw new Error(said.error || `The service answered ${response.status}.`);
    }
  }
}

export function form(images) {
  const body = new FormData();
  for (const { blob, name } of images) body.append("files", blob, name);
  return body;
}
