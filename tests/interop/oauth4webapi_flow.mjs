// Sign in, call, refresh, ask and revoke with oauth4webapi; print what came as one JSON object.
// Arguments: the client's module, then what the application is, as JSON.
import { argv } from "node:process";
import { pathToFileURL } from "node:url";

const oauth = await import(pathToFileURL(argv[2]).href);
const { address, audience, email, password, clientId, key } = JSON.parse(argv[3]);

const server = {
  issuer: address,
  jwks_uri: `${address}/.well-known/jwks.json`,
  token_endpoint: `${address}/auth/token`,
  revocation_endpoint: `${address}/auth/revoke`,
  introspection_endpoint: `${address}/auth/introspect`,
};
const client = { client_id: "web" };
const service = { client_id: clientId };
const anybody = oauth.None();
const known = oauth.ClientSecretBasic(key);
const plain = { [oauth.allowInsecureRequests]: true };

async function signIn(secret) {
  const answer = await oauth.genericTokenEndpointRequest(
    server, client, anybody, "password", { username: email, password: secret }, plain,
  );
  return oauth.processGenericTokenEndpointResponse(server, client, answer);
}

async function refresh(token) {
  const answer = await oauth.refreshTokenGrantRequest(server, client, anybody, token, plain);
  return oauth.processRefreshTokenResponse(server, client, answer);
}

async function call(token) {
  const url = new URL(`${address}/notes`);
  const answer = await oauth.protectedResourceRequest(
    token, "GET", url, undefined, undefined, plain,
  );
  return answer.json();
}

async function ask(token, hint, authentication = known) {
  const options = { ...plain, additionalParameters: { token_type_hint: hint } };
  const answer = await oauth.introspectionRequest(server, service, authentication, token, options);
  return oauth.processIntrospectionResponse(server, service, answer);
}

async function revoke(token) {
  const answer = await oauth.revocationRequest(server, client, anybody, token, plain);
  await oauth.processRevocationResponse(answer);
}

// Says how a promise fails: the error's own words for an answer, else its code.
async function failure(promise) {
  try {
    await promise;
  } catch (error) {
    return error.error ?? error.code ?? error.message;
  }
  return null;
}

const first = await signIn(password);
const second = await refresh(first.refresh_token);
const request = new Request(`${address}/notes`, {
  headers: { authorization: `Bearer ${second.access_token}` },
});
const claims = await oauth.validateJwtAccessToken(server, request, audience, plain);
const told = {
  type: first.token_type,
  called: [await call(first.access_token), await call(second.access_token)],
  rotated: first.refresh_token !== second.refresh_token,
  claims: { iss: claims.iss, email: claims.email },
  access: await ask(second.access_token, "access_token"),
  refresh: await ask(second.refresh_token, "refresh_token"),
  wrongPassword: await failure(signIn("wrong")),
  wrongKey: await failure(ask(first.access_token, "access_token", oauth.ClientSecretBasic("x"))),
};
await revoke(second.refresh_token);
told.afterwards = [
  await ask(second.access_token, "access_token"),
  await ask(second.refresh_token, "refresh_token"),
];
told.refreshAfterwards = await failure(refresh(second.refresh_token));
const third = await signIn(password);
await refresh(third.refresh_token);
told.reuse = await failure(refresh(third.refresh_token));
console.log(JSON.stringify(told));
