/** What a promise rejects with; 'no failure' when it does not, which no expectation of a failure matches. */
export async function failureOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => 'no failure',
    (error: unknown) => error,
  );
}
