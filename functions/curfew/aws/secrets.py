"""*request*: the secret of a deployment, the clouds.yaml of its OpenStack clouds. It is in no message and no log."""

from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from ..core.errors import RefusedError


def text_of(client: Any, name: str) -> str:
    """The text of the secret. Raises RefusedError.

    Source: https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html
    """
    try:
        return str(client.get_secret_value(SecretId=name)["SecretString"])
    except (BotoCoreError, ClientError, KeyError) as error:
        code = getattr(error, "response", {}).get("Error", {}).get("Code", type(error).__name__)
        raise RefusedError(
            f"the secret {name} of CURFEW_CLOUDS_SECRET cannot be read as a text ({code})",
            code=code,
        ) from None
