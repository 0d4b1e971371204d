"""*request*: reads the secret with the clouds.yaml of the OpenStack clouds. No message and no log contains it."""

from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from ..core.errors import RefusedError


def text_of(client: Any, name: str) -> str:
    """Return the text of the secret. Raises RefusedError.

    Source: https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html
    """
    try:
        return str(client.get_secret_value(SecretId=name)["SecretString"])
    except (BotoCoreError, ClientError, KeyError) as error:
        code = getattr(error, "response", {}).get("Error", {}).get("Code", type(error).__name__)
        raise RefusedError(
            f"the secret {name} of CURFEW_CLOUDS_SECRET cannot be read as text: {code}",
            code=code,
        ) from None
