"""The one module that decides what an account level may do; everything not allowed here is denied."""

from core.actors import Actor, ActorKind, Level
from core.assurance import SecondFactorRequired, current_assurance, must_enrol
from core.errors import NotAllowed

# What a level may do at the least. Authority over a rollback is narrower: see rollbacks.rules.
REQUIRED = {
    "read": Level.VIEWER,
    "respond": Level.RESPONDER,  # declare, note, update, resolve, take a granted role
    "acknowledge": Level.RESPONDER,
    "command": Level.COMMANDER,  # assign roles to others, restrict an incident they see
    "record_release": Level.RESPONDER,
    "see_restricted": Level.ADMINISTRATOR,  # need to know; who works on one and security leads see it too
    "measure": Level.RESPONDER,  # push samples
    "configure": Level.COMMANDER,  # services, monitors
    "request_rollback": Level.RESPONDER,
    "decide_rollback": Level.RESPONDER,  # and the role that the authority rule asks for
    "disarm": Level.RESPONDER,
    "arm": Level.COMMANDER,
    "administer": Level.ADMINISTRATOR,
}


def may(actor: Actor, action: str) -> bool:
    """Whether the actor may do `action`, one of REQUIRED's keys: level, and second factor where asked.

    A link in a message is for acknowledging and for nothing else, whoever's it is; a contact without an
    account has nothing but the link.
    """
    if actor.kind is ActorKind.CONTACT:
        has_level = actor.user_id is None or actor.level >= REQUIRED[action]
        return action == "acknowledge" and has_level
    return actor.level >= REQUIRED[action] and not must_enrol(actor, current_assurance())


def require(actor: Actor, action: str) -> None:
    """Raise SecondFactorRequired or NotAllowed unless the actor may do `action`."""
    if may(actor, action):
        return
    if must_enrol(actor, current_assurance()):
        raise SecondFactorRequired("Administrators need a second factor: set one up before anything else.")
    needed = REQUIRED[action].label
    raise NotAllowed(f"This needs the account level {needed}; {actor.label} has {actor.level.label}.")
